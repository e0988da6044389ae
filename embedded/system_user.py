"""PostgreSQL refuses to run as root: who it runs as then, and places that user can reach.

Nobody's home is opened for it. Where the state directory or the installed binaries lie behind a closed
directory (a home with mode 0700), data and a copy of the binaries go below the system's temporary directory.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TypedDict

from embedded.service import Owner
from midflight.errors import MidflightError

USER = "midflight-postgres"
FALLBACK_USERS = ("postgres", "nobody")
STAND_IN_NOTE = "postgres.home"
MODE_OF_OURS = 0o755
MODE_PRIVATE = 0o700


class NoSystemUser(MidflightError):
    """We are root and found no other user to run PostgreSQL as."""


class UnsafeDirectory(MidflightError):
    """A directory that should be ours belongs to somebody else."""


class Identity(TypedDict, total=False):
    """Arguments of subprocess.run that change the user."""

    user: int
    group: int
    extra_groups: list[int]


def for_server() -> Owner | None:
    """Who PostgreSQL runs as. None: ourselves. As root: a system user, made if missing; or NoSystemUser."""
    if os.geteuid() != 0:
        return None
    if _lookup(USER) is None:
        _create()
    for name in (USER, *FALLBACK_USERS):
        if (found := _lookup(name)) is not None:
            return found
    raise NoSystemUser(
        "PostgreSQL does not run as root, and there is no other user to run it as.",
        next_step=f"Create a system user '{USER}', or set MIDFLIGHT_TARGET_DSN.",
    )


def as_owner(owner: Owner | None) -> Identity:
    """Arguments for subprocess.run."""
    return Identity(user=owner.uid, group=owner.gid, extra_groups=[]) if owner else Identity()


def reachable_home(state_dir: Path, owner: Owner | None) -> Path:
    """The state directory, or a stand-in that `owner` can reach and that a note in the state directory names.

    Whoever deletes the state directory deletes the note, and so starts with no data, as they would expect.
    """
    if owner is None or _may_enter(state_dir, owner):
        return state_dir
    note = state_dir / STAND_IN_NOTE
    if note.exists():
        return Path(note.read_text())
    stand_in = _new_stand_in(state_dir, _directory_of(owner))
    note.write_text(str(stand_in))
    return stand_in


def forget_home(state_dir: Path, home: Path) -> None:
    """Delete the stand-in, if there is one, and the note that names it."""
    if home != state_dir:
        shutil.rmtree(home, ignore_errors=True)
        (state_dir / STAND_IN_NOTE).unlink(missing_ok=True)


def _new_stand_in(state_dir: Path, parent: Path) -> Path:
    prefix = hashlib.sha256(str(state_dir).encode()).hexdigest()[:16] + "-"
    for forgotten in parent.glob(prefix + "*"):
        shutil.rmtree(forgotten)
    stand_in = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    stand_in.chmod(MODE_OF_OURS)
    return stand_in


def reachable_copy(installation: Path, owner: Owner | None) -> Path:
    """The installation, or a copy of it that `owner` can reach, made once."""
    if owner is None or _may_enter(installation / "bin", owner):
        return installation
    size = (installation / "bin" / "postgres").stat().st_size
    copy = _directory_of(owner) / f"pginstall-{size}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(installation, draft / "pginstall", symlinks=True)
        _open_to_read(draft)
        _rename_unless_there(draft / "pginstall", copy)
        shutil.rmtree(draft)
    return copy


def make_private_directory(path: Path, owner: Owner | None) -> None:
    """Make `path` for the owner's eyes only; PostgreSQL insists."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(MODE_PRIVATE)
    if owner:
        os.chown(path, owner.uid, owner.gid)


def _lookup(name: str) -> Owner | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Owner(entry.pw_uid, entry.pw_gid)


def _create() -> None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is not None:  # failing is fine: another start may have made the user, or a fallback serves
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        subprocess.run(command, capture_output=True, check=False)


def _may_enter(directory: Path, owner: Owner) -> bool:
    absolute = directory.resolve()
    return all(_may_pass(one.stat(), owner) for one in (absolute, *absolute.parents) if one.exists())


def _may_pass(status: os.stat_result, owner: Owner) -> bool:
    if status.st_uid == owner.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == owner.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _directory_of(owner: Owner) -> Path:
    path = Path(tempfile.gettempdir()) / f"midflight-{owner.uid}"
    path.mkdir(exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnsafeDirectory(f"{path} is not a directory of ours.", next_step="Remove it and start again.")
    path.chmod(MODE_OF_OURS)
    return path


def _open_to_read(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def _rename_unless_there(draft: Path, final: Path) -> None:
    try:
        draft.rename(final)
    except OSError:
        if not final.exists():
            raise

"""reladiff over the benchmark's tables; run by the Python of an environment that has it: SOURCE TARGET THREADS.

Prints one line of JSON. The output is not sorted: sorting it makes reladiff 0.6.0 fail where one side has NULL.
"""

import json
import sys
import time

COLUMNS = ("user_id", "amount", "score", "created_at", "email", "active", "meta")


def main() -> None:
    import reladiff  # type: ignore[import-not-found,unused-ignore]

    source, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    began = time.perf_counter()
    tables = [reladiff.connect_to_table(dsn, "items", "id", thread_count=threads) for dsn in (source, target)]
    pool = {} if threads == 1 else {"max_threadpool_size": 2 * threads}
    with reladiff.diff_tables(
        *tables, extra_columns=COLUMNS, algorithm=reladiff.Algorithm.HASHDIFF, skip_sort_results=True, **pool
    ) as found:
        keys = {row[0] for _, row in found}
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "peak_mb": peak_mb(), "found": len(keys)}))


def peak_mb() -> float:
    """This process's peak memory. What getrusage says begins with the memory of whoever started it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3


if __name__ == "__main__":
    main()

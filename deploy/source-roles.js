// The users of the source, with no more than they need. For mongosh, on the primary, by an administrator:
//
//   mongosh "mongodb://..." --file deploy/source-roles.js
//
// Replace the names and the list. Both users are to exist already (db.createUser), in this database or in `admin`.
const DATABASE = "loyalty";
const COLLECTIONS = ["members", "entries"]; // those of the plan
const WORKER = "midflight_worker";
const APPLICATION = "loyalty_app";

const MARKS = "midflight_marks"; // one document a domain: numbers that the change feed brings back
const GUARDS = "midflight_guards"; // one document a key that was written back while the target is in charge
const FENCES = "midflight_fences"; // what each user could do before a fence took the right to write away

const database = db.getSiblingDB(DATABASE);
const admin = db.getSiblingDB("admin");
const on = (collection, ...actions) => ({ resource: { db: DATABASE, collection }, actions });
const keep = ["find", "insert", "update", "remove", "createCollection", "dropCollection"];

database.createRole({
  role: "midflight_worker",
  privileges: [
    // Copying, following, comparing.
    on("", "listCollections", "find", "changeStream", "collStats", "listIndexes"),
    // The fence, writing back past it, and at the end the drop of what was archived.
    ...COLLECTIONS.map((name) =>
      on(name, "collMod", "insert", "update", "remove", "bypassDocumentValidation", "dropCollection"),
    ),
    ...[MARKS, GUARDS, FENCES].map((name) => on(name, ...keep)),
    // The fence for deletes: the application's user is reduced to `read`, and gets its roles back.
    on("", "viewUser", "grantRole"),
  ],
  roles: [],
});
admin.createRole({
  role: "midflight_server",
  privileges: [
    // How far back the change feed reaches.
    { resource: { db: "local", collection: "" }, actions: ["find", "collStats"] },
    // MongoDB asks for this on all databases before it lets anybody replace a user's roles (updateUser).
    { resource: { db: "", collection: "" }, actions: ["revokeRole"] },
    // Only where the application's user lives in `admin`.
    { resource: { db: "admin", collection: "" }, actions: ["viewUser", "grantRole"] },
  ],
  roles: [],
});

// The library in the application reads, looks whether a collection is fenced, and writes marks: `readWrite` on the database
// holds all of that. A user with less needs these as well.
database.createRole({
  role: "midflight_application",
  privileges: [on("", "listCollections"), ...COLLECTIONS.map((name) => on(name, "find")), on(MARKS, "find", "insert", "update")],
  roles: [],
});

const granted = (name) => (database.getUser(name) ? database : admin);
granted(WORKER).grantRolesToUser(WORKER, [
  { role: "midflight_worker", db: DATABASE },
  { role: "midflight_server", db: "admin" },
]);
granted(APPLICATION).grantRolesToUser(APPLICATION, [{ role: "midflight_application", db: DATABASE }]);
// Name the application's user in the plan (source.application_users). If it holds a role of `admin` that reaches beyond this
// database, such as root or readWriteAnyDatabase, the fence leaves it alone, and its deletes are only reported, not refused.

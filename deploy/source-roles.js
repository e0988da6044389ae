// The two users of the source, with no more than they need. For mongosh, on the primary, by an administrator:
//
//   mongosh "mongodb://..." --file deploy/source-roles.js
//
// Replace the names and the list. The users are to exist already (db.createUser); the roles are granted at the end.
const DATABASE = "loyalty";
const COLLECTIONS = ["members", "entries"]; // those of the plan
const WORKER = "midflight_worker";
const APPLICATION = "loyalty_app";

const MARKS = "midflight_marks"; // one document a domain: numbers that the change feed brings back
const GUARDS = "midflight_guards"; // one document a key that was written back while the target is in charge

const database = db.getSiblingDB(DATABASE);
const on = (collection, ...actions) => ({ resource: { db: DATABASE, collection }, actions });

// What the application has today, as a role that can be taken away and given back: the fence on deletes is this.
database.createRole({
  role: "midflight_application_writes",
  privileges: COLLECTIONS.map((name) => on(name, "insert", "update", "remove")),
  roles: [],
});

// Reading, looking whether a collection is fenced, and the mark that a session's floor refers to.
database.createRole({
  role: "midflight_application",
  privileges: [
    ...COLLECTIONS.map((name) => on(name, "find", "collStats")),
    on("", "listCollections"),
    on(MARKS, "find", "insert", "update"),
  ],
  roles: [],
});

database.createRole({
  role: "midflight_worker",
  privileges: [
    // Copying, following, comparing.
    on("", "listCollections", "find", "changeStream", "collStats", "dbStats", "listIndexes"),
    on(MARKS, "find", "insert", "update", "remove", "createCollection", "dropCollection"),
    // The fence, and writing back past it.
    ...COLLECTIONS.map((name) => on(name, "collMod", "insert", "update", "remove", "bypassDocumentValidation")),
    on(GUARDS, "find", "insert", "update", "remove", "createCollection", "dropCollection", "createIndex"),
    // The same fence for deletes: the application's role is taken away and given back.
    on("", "viewUser", "viewRole", "grantRole", "revokeRole"),
    // Decommission drops what was archived.
    ...COLLECTIONS.map((name) => on(name, "dropCollection")),
  ],
  roles: [],
});
// The size of the change feed's window, and the cluster's time.
db.getSiblingDB("admin").createRole({
  role: "midflight_cluster",
  privileges: [
    { resource: { cluster: true }, actions: ["serverStatus", "replSetGetStatus"] },
    { resource: { db: "local", collection: "oplog.rs" }, actions: ["find", "collStats"] },
  ],
  roles: [],
});

database.grantRolesToUser(WORKER, ["midflight_worker", { role: "midflight_cluster", db: "admin" }]);
database.grantRolesToUser(APPLICATION, ["midflight_application", "midflight_application_writes"]);
// Then take the wide role away, or the fence leaves deletes open: database.revokeRolesFromUser(APPLICATION, ["readWrite"])

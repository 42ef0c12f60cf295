// Hocuspocus with its SQLite extension, as its documentation sets it up: `hocuspocus.mjs FOLDER`,
// on 127.0.0.1 and the port in PORT.
import { join } from "node:path";

import { SQLite } from "@hocuspocus/extension-sqlite";
import { Server } from "@hocuspocus/server";

const [folder] = process.argv.slice(2);
const server = new Server({
  address: "127.0.0.1",
  port: Number(process.env.PORT),
  quiet: true,
  extensions: [new SQLite({ database: join(folder, "documents.sqlite") })],
});
await server.listen();

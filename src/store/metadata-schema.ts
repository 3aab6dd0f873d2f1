/**
 * The tables of a store's database, and how older ones become them.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { storeInvalid } from "./store-error.ts";

/** Each brings the database one version further; a migration that was released never changes. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE images (
    manifest TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE image_layers (
    manifest TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    PRIMARY KEY (manifest, position)
  ) STRICT;
  CREATE INDEX image_layers_by_layer ON image_layers (layer);
  CREATE TABLE image_content (
    manifest TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    content TEXT NOT NULL,
    PRIMARY KEY (manifest, content)
  ) STRICT;
  CREATE TABLE refs (
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    root TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES images,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (name, platform)
  ) STRICT;
  CREATE INDEX refs_by_manifest ON refs (manifest);
  CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
  ) STRICT;
  CREATE TABLE lease_layers (
    lease TEXT NOT NULL REFERENCES leases ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    PRIMARY KEY (lease, position)
  ) STRICT;
  CREATE INDEX lease_layers_by_layer ON lease_layers (layer);
  CREATE TABLE layers (
    layer TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE image_layers ADD COLUMN toc TEXT;
  CREATE TABLE merged_metas (
    manifest TEXT PRIMARY KEY REFERENCES images ON DELETE CASCADE,
    meta TEXT NOT NULL,
    made_from TEXT NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE lease_layers ADD COLUMN meta TEXT;
  ALTER TABLE lease_layers ADD COLUMN toc TEXT;
  `,
];

/**
 * Brings a database to the version of this program, one transaction for each step.
 *
 * @throws {EsgzError} `STORE_INVALID` for a database that a later program wrote.
 */
export function migrate(database: DatabaseSync): void {
  const found = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (found > MIGRATIONS.length) {
    throw storeInvalid("store database", {
      expected: `version ${MIGRATIONS.length} or lower`,
      found: String(found),
    });
  }
  for (const [index, statements] of MIGRATIONS.entries()) {
    if (index < found) continue;
    database.exec(`BEGIN IMMEDIATE; ${statements} PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}

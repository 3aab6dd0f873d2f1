/**
 * What a configuration file may say, checked. `docs/daemon.md` lists the keys.
 *
 * @module
 */
import * as v from "valibot";
import type { ConfigFile } from "./daemon-config.ts";
import { parseByteSize, parseDurationMs } from "./quantity.ts";

const Text = v.pipe(v.string("expected a text"), v.minLength(1, "expected a text that is not empty"));
const Flag = v.boolean("expected true or false");
const Count = (from: number, to: number): v.GenericSchema<unknown, number> =>
  v.pipe(
    v.number(`expected a number from ${from} to ${to}`),
    v.integer(`expected a whole number from ${from} to ${to}`),
    v.minValue(from, `expected a number from ${from} to ${to}`),
    v.maxValue(to, `expected a number from ${from} to ${to}`),
  );
const Quantity = (
  parse: (value: string | number) => number | undefined,
  example: string,
): v.GenericSchema<unknown, number> =>
  v.pipe(
    v.union([v.string(), v.number()], `expected ${example}`),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const quantity = parse(dataset.value);
      if (quantity !== undefined) return quantity;
      addIssue({ message: `expected ${example}` });
      return NEVER;
    }),
  );
const Bytes = Quantity(parseByteSize, 'a size such as "20GiB"');
const Duration = Quantity(parseDurationMs, 'a duration such as "30s"');
const AbsolutePath = v.pipe(Text, v.startsWith("/", "expected an absolute path"));
const Address = v.pipe(Text, v.regex(/^(?:\[[0-9a-f:.]+\]|[^:/]*):\d{1,5}$/i, 'expected "host:port"'));

const Endpoint = {
  url: v.optional(Text),
  plain_http: v.optional(Flag),
  tls_verify: v.optional(Flag),
  cert_dir: v.optional(AbsolutePath),
  ca_file: v.optional(AbsolutePath),
  client_cert: v.optional(AbsolutePath),
  client_key: v.optional(AbsolutePath),
  headers: v.optional(v.record(v.string(), Text, "expected a table of texts")),
};

const Mirror = v.strictObject({ ...Endpoint, url: Text });
const Registry = v.strictObject({
  ...Endpoint,
  mirrors: v.optional(v.array(Mirror, "expected a list of tables")),
});

const ConfigEntries = {
  store: v.optional(AbsolutePath),
  quota: v.optional(Bytes),
  jobs: v.optional(Count(1, 256)),
  authfile: v.optional(AbsolutePath),
  log: v.optional(
    v.strictObject(
      {
        level: v.optional(
          v.picklist(
            ["trace", "debug", "info", "warn", "error", "silent"],
            "expected trace, debug, info, warn, error or silent",
          ),
        ),
      },
      "expected a table",
    ),
  ),
  daemon: v.optional(
    v.strictObject(
      {
        idle_exit: v.optional(Duration),
        checkpoint: v.optional(Duration),
        grace: v.optional(Duration),
      },
      "expected a table",
    ),
  ),
  fetch: v.optional(
    v.strictObject(
      {
        connections: v.optional(Count(1, 256)),
        background_connections: v.optional(Count(1, 256)),
        range: v.optional(Bytes),
        memory: v.optional(Bytes),
        read_ahead: v.optional(Bytes),
        deadline: v.optional(Duration),
        prefetch: v.optional(Flag),
        background: v.optional(Flag),
      },
      "expected a table",
    ),
  ),
  mounts: v.optional(
    v.strictObject(
      {
        view: v.optional(
          v.picklist(
            ["auto", "erofs-file", "erofs-loop", "tree"],
            "expected auto, erofs-file, erofs-loop or tree",
          ),
        ),
      },
      "expected a table",
    ),
  ),
  metrics: v.optional(v.strictObject({ listen: v.optional(Address) }, "expected a table")),
  registries_dir: v.optional(AbsolutePath),
  registries: v.optional(v.record(v.string(), Registry, "expected a table")),
  snapshotter: v.optional(
    v.strictObject(
      {
        address: v.optional(AbsolutePath),
        allow_no_verification: v.optional(Flag),
        disable_verification: v.optional(Flag),
        remap_ids: v.optional(Flag),
        prefetch_size: v.optional(Bytes),
      },
      "expected a table",
    ),
  ),
  keychains: v.optional(
    v.strictObject(
      {
        kubeconfig: v.optional(AbsolutePath),
        cri: v.optional(AbsolutePath),
        cri_listen: v.optional(AbsolutePath),
      },
      "expected a table",
    ),
  ),
};

/** What the file may say, in the order of the documentation. */
export const ConfigSchema: v.GenericSchema<unknown, ConfigFile> = v.strictObject(
  ConfigEntries,
  "expected a table",
);

/** The top keys of the file. */
export const CONFIG_KEYS: ReadonlySet<string> = new Set(Object.keys(ConfigEntries));

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import { answer, rangeOf, type Script, startScriptedServer } from "../../test/registry/scripted-server.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { RegistryClient } from "./registry-client.ts";

const BYTES = randomBytes(50_000);
const DIGEST: Digest = `sha256:${createHash("sha256").update(BYTES).digest("hex")}`;

/** Something that a server may do to a request for [first, last]. */
const FAULTS: Readonly<Record<string, (first: number, last: number, n: number) => Script>> = {
  cut: (first, last, n) => (_request, response) => {
    const headers = { "content-range": `bytes ${first}-${last}/${BYTES.length}` };
    response.writeHead(206, { ...headers, "content-length": last - first + 1 });
    response.write(BYTES.subarray(first, Math.min(last, first + n)), () => response.destroy());
  },
  shortRange: (first, last, n) => (_request, response) => {
    const end = Math.min(last, first + n);
    answer(response, 206, { "content-range": `bytes ${first}-${end}/*` }, BYTES.subarray(first, end + 1));
  },
  shortBody: (first, last, n) => (_request, response) => {
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${BYTES.length}` });
    response.end(BYTES.subarray(first, Math.min(last, first + n)));
  },
  whole: () => (_request, response) => answer(response, 200, {}, BYTES),
  otherRange: (first, last, n) => (_request, response) => {
    const range = `bytes ${first + n}-${last + n}/${BYTES.length + 2 * n}`;
    answer(response, 206, { "content-range": range }, BYTES.subarray(first, last + 1));
  },
  tooMuch: (first, last) => (_request, response) => {
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${BYTES.length}` });
    response.end(BYTES.subarray(first));
  },
  reset: () => (_request, response) => void response.destroy(),
  busy: () => (_request, response) => answer(response, 503, { "retry-after": "1" }),
  garbage: () => (_request, response) => void response.socket?.end("HTTP/1.1 999999 \r\n\0\r\n\r\n"),
  zipped: () => (_request, response) => answer(response, 206, { "content-encoding": "br" }, "x"),
  loop: () => (request, response) => answer(response, 302, { location: request.url }),
  denied: () => (_request, response) => answer(response, 403, {}, "<Error/>"),
};

test("whatever a server does, read() gives the right bytes or a typed error", async () => {
  let script: Script = () => undefined;
  await using server = await startScriptedServer((request, response) => script(request, response));
  await using client = new RegistryClient({ clock: new FakeClock(), stallTimeoutMs: 5000 });
  const repository = client.repository({ registry: server.host, repository: "a" });
  const plan = fc.array(fc.tuple(fc.constantFrom(...Object.keys(FAULTS)), fc.nat(20_000)), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(plan, fc.nat(BYTES.length - 1), fc.nat(BYTES.length), async (faults, offset, wanted) => {
      const left = [...faults];
      script = (request, response) => {
        const [first, last] = rangeOf(request) ?? [0, BYTES.length - 1];
        const [name, n] = left.shift() ?? ["shortRange", BYTES.length];
        return FAULTS[name]?.(first, last, n)(request, response);
      };
      const size = Math.min(wanted, BYTES.length - offset);
      const blob = repository.openBlob({ digest: DIGEST, size: BYTES.length });
      try {
        assert.ok(BYTES.subarray(offset, offset + size).equals(await blob.read({ offset, size })));
      } catch (error) {
        assert.ok(isEsgzError(error), String(error));
        assert.ok(faults.length > 0, "nothing was wrong with the server");
      }
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

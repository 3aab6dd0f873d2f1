import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../bytes/index.ts";
import { type ElfNeeds, readElfNeeds } from "./elf-needs.ts";
import { makeElf } from "./make-elf.fixture.ts";

/** A library of PowerPC, as big-endian bytes: headers, then loader, table and texts at round places. */
function narrowFile(): Uint8Array {
  const file = Buffer.alloc(0x1c0);
  const put = (offset: number, hex: string): void => void file.write(hex.replaceAll(" ", ""), offset, "hex");
  put(0x00, "7f454c46 01 02 01 00 0000000000000000"); // 32 bits, big-endian
  put(0x10, "0002 0014 00000001 00010000 00000034 00000000"); // machine 20; program headers at 0x34
  put(0x24, "00000000 0034 0020 0003 0000 0000 0000"); // 3 of 32 bytes
  put(0x34, "00000001 00000000 00010000 00010000 000001c0 000001c0 00000005 00010000"); // LOAD
  put(0x54, "00000003 000000a0 000100a0 000100a0 0000000d 0000000d 00000004 00000001"); // INTERP
  put(0x74, "00000002 00000100 00010100 00010100 00000030 00000030 00000006 00000004"); // DYNAMIC
  file.write("/lib/ld.so.1\0", 0xa0);
  put(0x100, "00000001 00000001  0000000f 0000000b  0000001d 00000010"); // NEEDED, RPATH, RUNPATH
  put(0x118, "00000005 00010180  00000000 00000000  00000001 00000001"); // STRTAB, the end, what counts no more
  file.write("\0libc.so.6\0/a:/\0$ORIGIN/../lib\0", 0x180);
  return file;
}

/** What is said of bytes, and how many were asked for. */
async function needsOf(file: Uint8Array): Promise<{ readonly needs?: ElfNeeds; readonly asked: number }> {
  let asked = 0;
  const needs = await readElfNeeds((offset, size) => {
    assert.ok(Number.isSafeInteger(offset) && offset >= 0 && size >= 0, `${size} bytes at ${offset}`);
    asked += size;
    return Promise.resolve(file.subarray(offset, offset + size));
  });
  return { asked, ...(needs === undefined ? {} : { needs }) };
}

test("readElfNeeds() reads a program of this machine", async (t) => {
  if (process.platform !== "linux") return t.skip("needs a program of Linux");
  await using file = await open(process.execPath);
  const needs = await readElfNeeds(async (offset, size) => {
    const { buffer, bytesRead } = await file.read(new Uint8Array(size), 0, size, offset);
    return buffer.subarray(0, bytesRead);
  });
  assert.match(needs?.interpreter ?? "", /^\/lib(64)?\/ld-(linux|musl)/);
  assert.ok(needs?.libraries.some((name) => /^libc\.(so\.6|musl)/.test(name)));
  if (process.arch === "x64") assert.equal(needs?.machine, 62);
  if (process.arch === "arm64") assert.equal(needs?.machine, 183);
});

test("readElfNeeds() reads files of 32 bits whose bytes are in the other order", async () => {
  const { needs } = await needsOf(narrowFile());
  assert.deepEqual(needs, {
    machine: 20,
    interpreter: "/lib/ld.so.1",
    libraries: ["libc.so.6"],
    searchPath: ["/a", "/", "$ORIGIN/../lib"],
  });
});

test("readElfNeeds() says nothing of files that are no ELF file", async () => {
  const files = [
    "",
    "\x7fEL",
    "#!/bin/sh\n".repeat(20),
    "\0".repeat(200),
    `\x7fELF\x03\x01${"\0".repeat(99)}`,
  ];
  for (const file of files) assert.equal((await needsOf(encodeUtf8(file))).needs, undefined, file);
});

test("readElfNeeds() says nothing of a file without all its program headers, and no more than is there of others", async () => {
  const file = narrowFile();
  for (let end = 0; end < file.length; end += 1) {
    const { needs } = await needsOf(file.subarray(0, end));
    assert.equal(needs !== undefined, end >= 0x94, `${end} bytes`);
    assert.deepEqual(needs?.libraries ?? [], end > 0x18a ? ["libc.so.6"] : [], `${end} bytes`);
  }
});

test("readElfNeeds() wants program headers of the right size", async () => {
  const file = Buffer.from(makeElf({ interpreter: "/lib/ld.so" }));
  assert.equal((await needsOf(file)).needs?.interpreter, "/lib/ld.so");
  file.writeUInt16LE(0xffff, 54);
  assert.deepEqual(await needsOf(file), { asked: 64 });
});

test("readElfNeeds() takes offsets that no file has", async () => {
  const file = Buffer.from(makeElf({ interpreter: "/lib/ld.so", needed: ["libc.so.6"] }));
  for (const place of [32, 64 + 8, 64 + 16, 64 + 56 + 8, 64 + 56 + 32, 64 + 112 + 8]) {
    const damaged = Buffer.from(file);
    damaged.fill(0xff, place, place + 8);
    assert.ok((await needsOf(damaged)).asked < 1 << 20);
  }
});

test("readElfNeeds() reads a mebibyte of a file that needs as much as it can", async () => {
  const texts = Array.from({ length: 4000 }, (_, at) => `lib${at}${"x".repeat(4080)}`);
  const { needs, asked } = await needsOf(makeElf({ needed: texts, runpath: "/a:".repeat(1300) }));
  assert.equal(needs?.libraries.length, 256);
  assert.ok(asked <= 1.2 * (1 << 20), `${asked} bytes`);
  const paths = await needsOf(makeElf({ runpath: "/a:".repeat(1300) }));
  assert.equal(paths.needs?.searchPath.length, 32);
});

test("readElfNeeds() gives something or nothing for whatever was done to a file, and reads little", async () => {
  const files = [
    narrowFile(),
    Buffer.from(
      makeElf({ interpreter: "/lib/ld.so", needed: ["liba.so", "libb.so"], runpath: "/x:$ORIGIN" }),
    ),
  ];
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc.constantFrom(Buffer.alloc(8, 0xff), Buffer.alloc(4), Buffer.from("7fffffffffffffff", "hex")),
  );
  const damage = fc.array(fc.tuple(fc.nat(0x1c0), bytes), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.nat(1), damage, fc.nat(0x1c0), async (which, damages, cut) => {
      const file = Buffer.from(files[which] ?? []);
      for (const [at, value] of damages)
        file.set(value.subarray(0, Math.max(0, file.length - at)), Math.min(at, file.length));
      const { asked } = await needsOf(damages.length === 0 ? file.subarray(0, cut) : file);
      assert.ok(asked <= 2 << 20, `${asked} bytes`);
    }),
    { numRuns: 500, endOnFailure: true },
  );
});

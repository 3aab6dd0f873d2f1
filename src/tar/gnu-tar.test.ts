/**
 * Archives that GNU tar made, against the files they were made from; and ours, read by GNU tar and Python.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { encodePathText } from "../bytes/index.ts";
import { decodeTar, type DecodedEntry } from "./decode-tar.fixture.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, type TarMetadata } from "./index.ts";
import { metadataOf } from "./tar-metadata.fixture.ts";

const HAS_TAR = spawnSync("tar", ["--version"], { encoding: "utf8" }).stdout?.includes("GNU tar") === true;
const HAS_PYTHON = spawnSync("python3", ["--version"]).status === 0;
const IS_ROOT = process.getuid?.() === 0;
const MAX_BUFFER = 64 * 1024 * 1024;

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "esgz-tar-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function gnuTar(directory: string, ...options: readonly string[]): Buffer {
  return execFileSync("tar", ["-C", directory, "-cf", "-", ...options], { maxBuffer: MAX_BUFFER });
}

function python(script: string, options: { args?: readonly string[]; input?: Uint8Array } = {}): string {
  return execFileSync("python3", ["-c", script, ...(options.args ?? [])], {
    input: options.input ?? "",
    encoding: "utf8",
    maxBuffer: MAX_BUFFER,
  });
}

function find(entries: readonly DecodedEntry[], name: string): DecodedEntry {
  const found = entries.find(({ entry }) => entry.name === name);
  assert.ok(found, `no entry ${JSON.stringify(name)}`);
  return found;
}

const MAKE_TREE = `
import os, sys
os.chdir(sys.argv[1])
os.mkdir('d')
long = 'd/' + 'n' * 180
open(b'd/\\xff\\xfe', 'w').write('raw name')
open('d/plain', 'wb').write(bytes(range(256)) * 5)
os.chmod('d/plain', 0o4751)
os.link('d/plain', 'd/zz-hard')
os.symlink('plain', 'd/link')
os.mkfifo('d/pipe')
os.utime('d/plain', ns=(0, 1234567890123456789))
os.utime('d/pipe', ns=(0, -1500000000))
if sys.argv[2] == 'long':
    os.mkdir(long)
    open(long + '/' + 'm' * 120, 'w').write('deep')
    os.symlink('t' * 150, 'd/longlink')
`;

for (const format of ["v7", "ustar", "gnu", "pax"]) {
  void test(
    `TarDecoder reads GNU tar's ${format} format as the files are`,
    { skip: !HAS_TAR || !HAS_PYTHON },
    (t) => {
      const directory = makeDirectory(t);
      const hasLong = format === "gnu" || format === "pax";
      python(MAKE_TREE, { args: [directory, hasLong ? "long" : "short"] });
      const hasNegative = hasLong;
      const exclude = hasNegative ? [] : ["--exclude=d/pipe"];
      const tar = gnuTar(directory, `--format=${format}`, "--sort=name", ...exclude, "d");
      const { entries, stream } = decodeTar(tar);
      assert.ok(stream.equals(tar));

      const plain = find(entries, "d/plain");
      assert.deepEqual(plain.content, readFileSync(join(directory, "d/plain")));
      assert.equal(plain.entry.mode, 0o4751);
      const isExact = format === "pax";
      assert.deepEqual(plain.entry.mtime, { seconds: 1234567890, nanoseconds: isExact ? 123456789 : 0 });
      assert.equal(find(entries, "d/").entry.type, "dir");
      assert.equal(find(entries, "d/\udcff\udcfe").content.toString(), "raw name");
      assert.equal(find(entries, "d/link").entry.linkName, "plain");
      const hard = find(entries, "d/zz-hard").entry;
      assert.deepEqual([hard.type, hard.linkName, hard.size], ["hardlink", "d/plain", 0]);
      if (!hasLong) return;
      const pipe = find(entries, "d/pipe").entry;
      assert.equal(pipe.type, "fifo");
      assert.deepEqual(
        pipe.mtime,
        isExact ? { seconds: -2, nanoseconds: 500000000 } : { seconds: -2, nanoseconds: 0 },
      );
      assert.equal(find(entries, `d/${"n".repeat(180)}/${"m".repeat(120)}`).content.toString(), "deep");
      assert.equal(find(entries, "d/longlink").entry.linkName, "t".repeat(150));
    },
  );
}

const MAKE_SPARSE = `
import os, sys
def make(name, size, runs):
    with open(os.path.join(sys.argv[1], name), 'wb') as f:
        f.truncate(size)
        for at, n in runs:
            f.seek(at)
            f.write(os.urandom(n))
make('sparse-many', 2000001, [(i * 32768, 4096) for i in range(60)])
make('sparse-few', 1048577, [(0, 100), (524288, 8192)])
make('sparse-end', 300000, [(262144, 37856)])
make('sparse-all-hole', 1000000, [])
make('sparse-' + 'x' * 150, 400000, [(131072, 5)])
open(os.path.join(sys.argv[1], 'sparse-zzz'), 'w').write('after')
`;

const SPARSE_FORMS: Readonly<Record<string, readonly string[]>> = {
  "GNU old": ["--format=gnu", "--sparse"],
  "PAX 0.0": ["--format=pax", "--sparse", "--sparse-version=0.0"],
  "PAX 0.1": ["--format=pax", "--sparse", "--sparse-version=0.1"],
  "PAX 1.0": ["--format=pax", "--sparse", "--sparse-version=1.0"],
};

for (const [form, options] of Object.entries(SPARSE_FORMS)) {
  void test(`TarDecoder expands sparse files of the form ${form}`, { skip: !HAS_TAR || !HAS_PYTHON }, (t) => {
    const directory = makeDirectory(t);
    python(MAKE_SPARSE, { args: [directory] });
    const names = [
      "sparse-all-hole",
      "sparse-end",
      "sparse-few",
      "sparse-many",
      `sparse-${"x".repeat(150)}`,
      "sparse-zzz",
    ];
    const tar = gnuTar(directory, ...options, ...names);
    const whole = decodeTar(tar);
    assert.deepEqual(
      whole.entries.map(({ entry }) => entry.name),
      names,
    );
    for (const { entry, content } of whole.entries) {
      assert.ok(content.equals(readFileSync(join(directory, entry.name))), entry.name);
      assert.equal(entry.size, content.length);
    }
    const many = find(whole.entries, "sparse-many").entry;
    assert.equal(many.sparse?.length, 60);
    assert.equal(many.storedSize, 60 * 4096);
    assert.ok(tar.length < 500_000);
  });

  void test(
    `TarDecoder gives the stream of ${form} back as it was when asked for raw bytes`,
    { skip: !HAS_TAR || !HAS_PYTHON },
    (t) => {
      const directory = makeDirectory(t);
      python(MAKE_SPARSE, { args: [directory] });
      const tar = gnuTar(directory, ...options, "sparse-many", "sparse-few", "sparse-zzz");
      const raw = decodeTar(tar, { sparse: "raw", chunkSizes: [1, 511, 700, 10_000] });
      assert.ok(raw.stream.equals(tar));
      const few = find(raw.entries, "sparse-few");
      const file = readFileSync(join(directory, "sparse-few"));
      const stored = (few.entry.sparse ?? []).map(({ offset, size }) => file.subarray(offset, offset + size));
      assert.ok(few.content.equals(Buffer.concat(stored)));
      assert.ok(
        few.content.equals(tar.subarray(few.entry.dataOffset, few.entry.dataOffset + few.entry.storedSize)),
      );
    },
  );
}

void test("TarDecoder keeps xattrs of GNU tar's, binary and empty ones too", (t) => {
  if (!HAS_TAR || !HAS_PYTHON || !IS_ROOT) return t.skip("needs GNU tar, python3 and root");
  const directory = makeDirectory(t);
  writeFileSync(join(directory, "file"), "x");
  const set = `import os, sys
f = sys.argv[1]
os.setxattr(f, 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))
os.setxattr(f, 'user.a=b%c', b'\\x80\\xff\\n=\\x00')
os.setxattr(f, 'user.empty', b'')`;
  const made = spawnSync("python3", ["-c", set, join(directory, "file")]);
  if (made.status !== 0) return t.skip("the file system of temporary files has no xattrs");
  const [item] = decodeTar(
    gnuTar(directory, "--format=pax", "--xattrs", "--xattrs-include=*", "file"),
  ).entries;
  assert.deepEqual(
    new Map([...(item?.entry.xattrs ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    new Map([
      ["security.capability", new Uint8Array(Buffer.from("0100000200200000000000000000000000000000", "hex"))],
      ["user.a=b%c", Uint8Array.of(0x80, 0xff, 0x0a, 0x3d, 0)],
      ["user.empty", Uint8Array.of()],
    ]),
  );
});

void test(
  "TarDecoder reads GNU tar's base-256 numbers, volume label and numbers beyond 32 bits",
  { skip: !HAS_TAR },
  (t) => {
    const directory = makeDirectory(t);
    writeFileSync(join(directory, "file"), "x");
    const options = [
      "--format=gnu",
      "--owner=u:3000000000",
      "--group=g:4000000000",
      "--mtime=@-99",
      "--label=disk",
    ];
    const { entries, globals } = decodeTar(gnuTar(directory, ...options, "file"));
    const { entry } = find(entries, "file");
    assert.deepEqual(
      [entry.uid, entry.gid, entry.userName, entry.groupName],
      [3000000000, 4000000000, "u", "g"],
    );
    assert.deepEqual(entry.mtime, { seconds: -99, nanoseconds: 0 });
    assert.equal(globals.length, 1);
    assert.equal(globals[0]?.toString("latin1", 0, 4), "disk");
  },
);

void test("TarDecoder applies GNU tar's global PAX headers", { skip: !HAS_TAR }, (t) => {
  const directory = makeDirectory(t);
  writeFileSync(join(directory, "file"), "x");
  const tar = gnuTar(
    directory,
    "--format=pax",
    "--pax-option=globexthdr.name=g,gname=world,delete=mtime",
    "file",
  );
  const { entries, globals, stream } = decodeTar(tar, { chunkSizes: [100] });
  assert.equal(globals.length, 1);
  assert.ok(stream.equals(tar));
  const { entry } = find(entries, "file");
  assert.equal(entry.groupName, "world");
  assert.equal(entry.headerOffset, 1024);
  assert.equal(entry.selfContained, false);
});

const CAPS: ReadonlyMap<string, Uint8Array> = new Map([
  ["security.capability", new Uint8Array(Buffer.from("0100000200200000000000000000000000000000", "hex"))],
  ["user.%25=%", Uint8Array.of(0, 255, 10)],
]);

const FILES: readonly TarMetadata[] = [
  metadataOf({ name: "d/", type: "dir", mode: 0o1750 }),
  metadataOf({
    name: "d/plain",
    size: 700,
    mode: 0o4755,
    uid: 1000,
    gid: 2000,
    userName: "nobody-knows",
    groupName: "grün",
  }),
  metadataOf({ name: `d/${"long/".repeat(70)}end`, size: 5 }),
  metadataOf({ name: `d/${"p".repeat(110)}/${"n".repeat(90)}`, size: 1 }),
  metadataOf({
    name: "d/ünïcöde 日本\n",
    size: 3,
    mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
  }),
  metadataOf({ name: "d/\udcff\udcfe", size: 2, mtime: { seconds: -2, nanoseconds: 500_000_000 } }),
  metadataOf({ name: "d/link", type: "symlink", mode: 0o777, linkName: "t".repeat(130) }),
  metadataOf({ name: "d/rawlink", type: "symlink", mode: 0o777, linkName: "\udc80" }),
  metadataOf({ name: "d/hard", type: "hardlink", mode: 0o4755, uid: 1000, gid: 2000, linkName: "d/plain" }),
  metadataOf({ name: "d/pipe", type: "fifo", mode: 0o600 }),
  metadataOf({ name: "d/null", type: "char", mode: 0o666, devMajor: 1, devMinor: 3 }),
  metadataOf({ name: "d/loop", type: "block", mode: 0o660, devMajor: 7, devMinor: 300 }),
  metadataOf({ name: "d/big", size: 4, uid: 3_000_000_000, gid: 4_000_000_000 }),
  metadataOf({ name: "d/caps", size: 4, xattrs: CAPS }),
];

function contentOf({ size, name }: TarMetadata): Uint8Array {
  return new Uint8Array(size).fill(name.length % 256);
}

function encodeFiles(files: readonly TarMetadata[]): Buffer {
  const parts = files.flatMap((file) => [
    encodeTarHeader(file),
    contentOf(file),
    new Uint8Array(paddingOf(file.size)),
  ]);
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

const LIST = `
import tarfile, sys, io, json
def text(s): return s.encode('utf-8', 'surrogateescape').hex()
kinds = {b'0': 'reg', b'1': 'hardlink', b'2': 'symlink', b'3': 'char', b'4': 'block', b'5': 'dir', b'6': 'fifo'}
t = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), encoding='utf-8', errors='surrogateescape')
print(json.dumps([dict(name=text(m.name), type=kinds[m.type], size=m.size, mode=m.mode, uid=m.uid, gid=m.gid,
    userName=m.uname, groupName=m.gname, mtime=float(m.mtime), linkName=text(m.linkname), dev=[m.devmajor, m.devminor]) for m in t]))
`;

void test("encodeTarHeader() is read by Python's tarfile as it was meant", { skip: !HAS_PYTHON }, () => {
  const listed: unknown = JSON.parse(python(LIST, { input: encodeFiles(FILES) }));
  const hex = (text: string): string => Buffer.from(encodePathText(text)).toString("hex");
  const expected = FILES.map((file) => ({
    name: hex(file.name.replace(/\/$/u, "")),
    type: file.type,
    size: file.size,
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    userName: file.userName,
    groupName: file.groupName,
    mtime: file.mtime.seconds + file.mtime.nanoseconds / 1e9,
    linkName: hex(file.linkName),
    dev: [file.devMajor, file.devMinor],
  }));
  assert.deepEqual(listed, expected);
});

void test("encodeTarHeader() is extracted by GNU tar as it was meant", (t) => {
  if (!HAS_TAR || !HAS_PYTHON || !IS_ROOT) return t.skip("needs GNU tar, python3 and root");
  const directory = makeDirectory(t);
  mkdirSync(join(directory, "out"));
  const options = [
    "-C",
    join(directory, "out"),
    "-xpf",
    "-",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
  ];
  const run = spawnSync("tar", options, { input: encodeFiles(FILES), encoding: "utf8" });
  const complaints = run.stderr
    .split("\n")
    .filter((line) => line !== "" && !line.includes("implausibly old time stamp"));
  assert.deepEqual([run.status, complaints], [0, []]);
  for (const file of FILES) {
    const path = Buffer.concat([Buffer.from(`${directory}/out/`), encodePathText(file.name)]);
    const stat = lstatSync(path, { bigint: true });
    assert.equal(Number(stat.mode & 0o7777n), file.mode, file.name);
    assert.deepEqual([Number(stat.uid), Number(stat.gid)], [file.uid, file.gid], file.name);
    const nanoseconds = BigInt(file.mtime.seconds) * 1_000_000_000n + BigInt(file.mtime.nanoseconds);
    assert.equal(stat.mtimeNs, nanoseconds, file.name);
    if (file.type === "reg") assert.deepEqual(new Uint8Array(readFileSync(path)), contentOf(file), file.name);
    if (file.type === "symlink") {
      assert.deepEqual(
        new Uint8Array(readlinkSync(path, { encoding: "buffer" })),
        encodePathText(file.linkName),
      );
    }
  }
  const hard = lstatSync(join(directory, "out/d/hard"));
  assert.equal(hard.ino, lstatSync(join(directory, "out/d/plain")).ino);
  assert.equal(lstatSync(join(directory, "out/d/null")).rdev, 0x103);
  const list =
    "import os, sys; f = sys.argv[1]; print(sorted((n, os.getxattr(f, n).hex()) for n in os.listxattr(f)))";
  const xattrs = python(list, { args: [join(directory, "out/d/caps")] });
  const expected =
    "[('security.capability', '0100000200200000000000000000000000000000'), ('user.%25=%', '00ff0a')]";
  assert.equal(xattrs.trim(), expected);
});

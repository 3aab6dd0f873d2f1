/**
 * The mount table as the kernel prints it, one line for each mount.
 *
 * ```text
 * 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 * |  |  |    |     |     |          |        | |    |         |
 * |  |  |    |     |     |          |        | |    |         options of the filesystem
 * |  |  |    |     |     |          |        | |    source
 * |  |  |    |     |     |          |        | type
 * |  |  |    |     |     |          |        end of the optional fields
 * |  |  |    |     |     |          any number of optional fields, tag or tag:value
 * |  |  |    |     |     options of the mount
 * |  |  |    |     mount point
 * |  |  |    what of the filesystem is mounted there
 * |  |  device
 * |  id of the mount it lies on
 * id
 * ```
 *
 * Blanks, tabs, line feeds and backslashes in a field are `\` and three octal digits. Source: proc_pid_mountinfo(5).
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";

/** A mount, as the table of a process shows it. Texts are those of `decodePathText`. */
export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  /** `major:minor`. */
  readonly device: string;
  /** The part of the filesystem that is mounted; `/` for all of it. */
  readonly root: string;
  /** Where it lies, absolute, as the process sees it. */
  readonly mountPoint: string;
  readonly mountOptions: readonly string[];
  /** `shared:1`, `master:2`, ... */
  readonly optionalFields: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

const FIXED_FIELDS = 6;
const SEPARATOR = "-";
/** ASCII without a backslash: as nearly all fields are, which need no decoding. */
const PLAIN = /^[!-[\]-~]*$/;
/** What is written as it is, by all kernels. */
const SAME = /^[!"$-[\]-~]*$/;

/**
 * Parses the content of `/proc/<pid>/mountinfo`.
 *
 * @param options.at only the mounts at this place: other lines are hardly looked at.
 * @throws {EsgzError} `IO_FAILED` for a line that breaks the format.
 */
export function parseMountInfo(
  content: Uint8Array,
  { at }: { readonly at?: string | undefined } = {},
): MountInfo[] {
  const lines = Buffer.from(content).toString("latin1").split("\n");
  const needed = at !== undefined && SAME.test(at) ? ` ${at} ` : "";
  const mounts = lines.flatMap((line, index) =>
    line === "" || !line.includes(needed) ? [] : [parseLine(line, index + 1)],
  );
  return at === undefined ? mounts : mounts.filter(({ mountPoint }) => mountPoint === at);
}

function parseLine(line: string, number: number): MountInfo {
  const fields = line.split(" ");
  const end = fields.indexOf(SEPARATOR, FIXED_FIELDS);
  const [id, parentId, device = "", root = "", mountPoint = "", mountOptions = ""] = fields;
  const [type, source, superOptions] = end < 0 ? [] : fields.slice(end + 1);
  if (!isNumber(id) || !isNumber(parentId) || type === undefined || source === undefined) {
    const text = `Cannot read line ${number} of the mount table: expected ids, six fields, "-" and three fields, got others`;
    throw new EsgzError("IO_FAILED", text);
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: decodeField(root),
    mountPoint: decodeField(mountPoint),
    mountOptions: decodeList(mountOptions),
    optionalFields: fields.slice(FIXED_FIELDS, end).map(decodeField),
    type: decodeField(type),
    source: decodeField(source),
    superOptions: decodeList(superOptions ?? ""),
  };
}

function isNumber(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,15}$/.test(text);
}

/** Commas are not escaped by the kernel: a value that has one comes as two options. */
function decodeList(field: string): string[] {
  return field === "" ? [] : field.split(",").map(decodeField);
}

function decodeField(field: string): string {
  if (PLAIN.test(field)) return field;
  const bytes = field.replaceAll(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return decodePathText(Buffer.from(bytes, "latin1"));
}

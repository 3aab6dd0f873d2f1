/**
 * Makes files like a Java runtime's `lib/modules`.
 */
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";

/** A resource: of which module, and its content. */
export interface ModuleResource {
  readonly module: string;
  readonly content: Uint8Array;
}

/** The file, with the resources in the order given. */
export function makeJavaModules(
  resources: readonly ModuleResource[],
  { little = true }: { readonly little?: boolean } = {},
): Uint8Array {
  const names = [...new Set(resources.map(({ module }) => module))];
  let texts = "\0";
  const textAt = new Map(
    names.map((name): [string, number] => [name, (texts += `${name}\0`).length - name.length - 1]),
  );
  const locations: Uint8Array[] = [Uint8Array.of(0)];
  const offsets: number[] = [];
  let [locationsSize, contentSize] = [1, 0];
  for (const { module, content } of resources) {
    const location = concatBytes([
      attribute(1, textAt.get(module) ?? 0),
      attribute(5, contentSize),
      attribute(7, content.length),
      Uint8Array.of(0),
    ]);
    offsets.push(locationsSize);
    locations.push(location);
    locationsSize += location.length;
    contentSize += content.length;
  }
  const head = new DataView(new ArrayBuffer(28 + 8 * offsets.length));
  const words = [0xcafedada, 0x10000, 0, offsets.length, offsets.length, locationsSize, texts.length];
  for (const [at, word] of words.entries()) head.setUint32(4 * at, word, little);
  for (const [at, offset] of offsets.entries())
    head.setUint32(28 + 4 * (offsets.length + at), offset, little);
  const contents = resources.map(({ content }) => content);
  return concatBytes([new Uint8Array(head.buffer), ...locations, encodeUtf8(texts), ...contents]);
}

/** Four bytes are enough for any number here. */
function attribute(kind: number, value: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = (kind << 3) | 3;
  new DataView(bytes.buffer).setUint32(1, value);
  return bytes;
}

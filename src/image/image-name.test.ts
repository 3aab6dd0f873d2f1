import assert from "node:assert/strict";
import { test } from "node:test";
import { isEsgzError } from "../errors/index.ts";
import { formatImageName, type ImageName, parseImageName } from "./image-name.ts";

const APP = { registry: "docker.io", repository: "library/app", tag: "v1" };

const NAMES: Readonly<Record<string, ImageName>> = {
  "app:v1": { kind: "registry", reference: APP },
  "docker://app:v1": { kind: "registry", reference: APP },
  "localhost:5000/app:v1": {
    kind: "registry",
    reference: { registry: "localhost:5000", repository: "app", tag: "v1" },
  },
  "oci:/tmp/layout": { kind: "oci", directory: "/tmp/layout" },
  "oci:layout:v1": { kind: "oci", directory: "layout", tag: "v1" },
  "oci:layout:example.com/app:v1": { kind: "oci", directory: "layout", tag: "example.com/app:v1" },
  "docker-archive:/tmp/a.tar": { kind: "docker-archive", file: "/tmp/a.tar" },
  "docker-archive:a.tar:app:v1": { kind: "docker-archive", file: "a.tar", reference: APP },
  "docker-archive:a.tar:@2": { kind: "docker-archive", file: "a.tar", sourceIndex: 2 },
  "dir:/tmp/image:with:colons": { kind: "dir", directory: "/tmp/image:with:colons" },
};

test("parseImageName() reads the names that skopeo users know", () => {
  for (const [text, name] of Object.entries(NAMES)) assert.deepEqual(parseImageName(text), name, text);
});

test("formatImageName() writes what parseImageName() reads", () => {
  for (const name of Object.values(NAMES)) assert.deepEqual(parseImageName(formatImageName(name)), name);
});

test("parseImageName() refuses what names nothing", () => {
  const wrong = [
    "",
    "oci:",
    "oci::v1",
    "oci:layout:",
    "oci:layout:-v1",
    "dir:",
    "docker-archive:",
    "docker-archive::app",
    "docker-archive:a.tar:",
    "docker-archive:a.tar:@x",
    `docker-archive:a.tar:app@sha256:${"0".repeat(64)}`,
    "docker://",
    "App",
    "oci-archive:a.tar",
    "containers-storage:app",
    "docker-daemon:app:v1",
  ];
  for (const text of wrong) {
    assert.throws(
      () => parseImageName(text),
      (error) => isEsgzError(error, "REFERENCE_INVALID"),
      text,
    );
  }
});

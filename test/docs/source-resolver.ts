/**
 * Preloaded by tests that run documentation: `esgz/NAME` means the sources of this checkout.
 *
 * @module
 */
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    const name = /^esgz\/([a-z-]+)$/.exec(specifier)?.[1];
    if (name === undefined) return next(specifier, context);
    return next(new URL(`../../src/${name}/index.ts`, import.meta.url).href, context);
  },
});

/**
 * An empty module that keeps the bundles' folder `dist/tests` in step with
 * `tests`: bundlers strip the folder that all their inputs share.
 *
 * @module
 */
export {};

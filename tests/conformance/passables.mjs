// Prints what @endo/marshal, run in Node, makes of the passables: {body, slots}. The slots are the
// kinds only: what a kref should be is not marshal's business.
//
//   node passables.mjs DIRECTORY    DIRECTORY holds node_modules with @endo/init, pass-style and marshal
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.argv[2]}/none.js`);
const load = async name => import(pathToFileURL(require.resolve(name)).href);

await load('@endo/init');
const { Far, makeTagged } = await load('@endo/pass-style');
const { makeMarshal } = await load('@endo/marshal');

// The vats' own module, with its one import answered from here: it lies outside of DIRECTORY, where
// Node would not find what it imports.
const source = readFileSync(new URL('vats/passables.js', import.meta.url), 'utf8')
  .replace(/^import .*$/m, '')
  .replace(/^export /gm, '');
const { makePassables } = new Function('Far', 'makeTagged', `${source}\nreturn { makePassables };`)(
  Far,
  makeTagged,
);

const toSlot = value => (Promise.resolve(value) === value ? 'promise' : 'object');
const { toCapData } = makeMarshal(toSlot, undefined, {
  serializeBodyFormat: 'smallcaps',
  marshalName: 'conformance',
  errorTagging: 'off',
});
process.stdout.write(`${JSON.stringify(toCapData(makePassables()))}\n`);

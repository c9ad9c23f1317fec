/* node bundle.mjs SOURCE -o OUT [--format FORMAT]: one vat's source and all it imports as one bundle.
 * OUT.inputs lists the files that went into it, one absolute path a line, for whoever caches bundles.
 *
 * By default esbuild makes an endoScript: one expression whose value is the module's namespace, the
 * format that starts fastest. endoZipBase64, nestedEvaluate, getExport and endo-endoScript are made by
 * @endo/bundle-source; iife is ocap-kernel's. Bare imports are looked for where Node would, from the
 * source upwards, and then in the node_modules beside this file, which has endo and vat-data.
 *
 * On an error: one line, FILE:LINE:COLUMN: TEXT where there is a place, on stderr, and exit code 3. */
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const usage = 'usage: node bundle.mjs SOURCE -o OUT [--format FORMAT]';
const ENDO = { endoZipBase64: 'endoZipBase64', nestedEvaluate: 'nestedEvaluate', getExport: 'getExport', 'endo-endoScript': 'endoScript' };
const OURS = ['endoScript', 'iife'];

const fail = (code, text) => {
  process.stderr.write(`${text}\n`);
  process.exit(code);
};

const options = { format: 'endoScript' };
const rest = process.argv.slice(2);
while (rest.length) {
  const arg = rest.shift();
  if (arg === '-o') options.out = rest.shift();
  else if (arg === '--format') options.format = rest.shift();
  else if (arg.startsWith('-') || options.source) fail(2, usage);
  else options.source = arg;
}
const { source, out, format } = options;
if (!source || !out) fail(2, usage);
if (!OURS.includes(format) && !Object.hasOwn(ENDO, format)) {
  fail(2, `unknown format ${format}; known: ${[...OURS, ...Object.keys(ENDO)].join(', ')}`);
}
if (!fs.existsSync(source)) fail(3, `${source}: no such file`);

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(here, 'node_modules');
const from = createRequire(path.join(here, 'bundle.mjs'));

let inputs = [];
const withEsbuild = async () => {
  const { build } = from('esbuild');
  const { outputFiles, metafile } = await build({
    entryPoints: [source],
    bundle: true,
    format: 'iife',
    globalName: '__vatExports__',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['import'],
    nodePaths: [fs.realpathSync(modules)],
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    minifyWhitespace: true, // SES refuses "import(" even in comments
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  inputs = Object.keys(metafile.inputs).map(file => path.resolve(file));
  const code = `"use strict";\n${outputFiles[0].text}`;
  if (format === 'iife') return { moduleFormat: 'iife', code };
  return { moduleFormat: 'endoScript', source: `(() => {${code}return __vatExports__;})()` };
};

const withEndo = async () => {
  const load = name => import(pathToFileURL(from.resolve(name)).href);
  await load('@endo/init');
  const { default: bundleSource } = await load('@endo/bundle-source');
  return bundleSource(path.resolve(source), { format: ENDO[format] });
};

/* esbuild knows the place of each error; the others say a text. */
const explain = error => {
  const first = error.errors && error.errors[0];
  if (!first) return `${source}: ${String(error.message || error).split('\n')[0]}`;
  const { location, text } = first;
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : `${source}: ${text}`;
};

try {
  const bundle = await (OURS.includes(format) ? withEsbuild() : withEndo());
  fs.writeFileSync(`${out}.inputs`, inputs.map(file => `${file}\n`).join(''));
  const half = `${out}.${process.pid}`;
  fs.writeFileSync(half, JSON.stringify(bundle));
  fs.renameSync(half, out);
} catch (error) {
  fail(3, explain(error));
}

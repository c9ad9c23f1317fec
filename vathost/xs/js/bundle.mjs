/* node bundle.mjs SOURCE -o OUT [--format FORMAT]: one vat's source and all it imports as one bundle.
 * OUT.inputs lists the files that went into it, one absolute path a line, for whoever caches bundles.
 *
 * By default esbuild makes an endoScript: one expression whose value is the module's namespace, the
 * format that starts fastest. endoZipBase64, nestedEvaluate, getExport and endo-endoScript are made by
 * @endo/bundle-source; iife is ocap-kernel's. Bare imports are looked for where Node would, from the
 * source upwards, and then in the node_modules beside this file, which has endo and vat-data. Endo
 * wants a package around each module: a source without one is first made into a single module.
 *
 * On an error: one line, FILE:LINE:COLUMN: TEXT where there is a place, on stderr, and exit code 3; 4
 * when OUT cannot be written. */
import fs from 'node:fs';
import os from 'node:os';
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
const flat = async shape => {
  const { build } = from('esbuild');
  const { outputFiles, metafile } = await build({
    entryPoints: [source],
    bundle: true,
    ...shape,
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
  return { text: outputFiles[0].text, names: Object.values(metafile.outputs)[0].exports };
};

const script = async () => {
  const { text } = await flat({ format: 'iife', globalName: '__vatExports__' });
  return `"use strict";\n${text}`;
};

const withEsbuild = async () => {
  const code = await script();
  if (format === 'iife') return { moduleFormat: 'iife', code };
  return { moduleFormat: 'endoScript', source: `(() => {${code}return __vatExports__;})()` };
};

const packaged = file => {
  const folder = path.dirname(file);
  return fs.existsSync(path.join(folder, 'package.json')) || (folder !== file && packaged(folder));
};

/* One module without imports. Endo loses an export that is declared with var, as esbuild does it. */
const oneModule = async () => {
  const { names } = await flat({ format: 'esm' });
  const lines = names.map((name, i) => `const e${i} = all[${JSON.stringify(name)}];\nexport { e${i} as ${name} };\n`);
  return `const all = (() => {${await script()}return __vatExports__;})();\n${lines.join('')}`;
};

const withEndo = async () => {
  const load = name => import(pathToFileURL(from.resolve(name)).href);
  const whole = path.resolve(source);
  const text = packaged(whole) ? null : await oneModule();
  await load('@endo/init');
  const { default: bundleSource } = await load('@endo/bundle-source');
  if (text === null) return bundleSource(whole, { format: ENDO[format] });

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vatyard-bundle-'));
  try {
    fs.writeFileSync(path.join(folder, 'package.json'), '{"name":"vat","version":"0.0.0","type":"module"}');
    fs.writeFileSync(path.join(folder, 'vat.js'), text);
    return await bundleSource(path.join(folder, 'vat.js'), { format: ENDO[format] });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
};

/* esbuild knows the place of each error; the others say a text. */
const explain = error => {
  const first = error.errors && error.errors[0];
  if (!first) return `${source}: ${String(error.message || error).split('\n')[0]}`;
  const { location, text } = first;
  return location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : `${source}: ${text}`;
};

let bundle;
try {
  bundle = await (OURS.includes(format) ? withEsbuild() : withEndo());
} catch (error) {
  fail(3, explain(error));
}
try {
  fs.writeFileSync(`${out}.inputs`, inputs.map(file => `${file}\n`).join(''));
  const half = `${out}.${process.pid}`;
  fs.writeFileSync(half, JSON.stringify(bundle));
  fs.renameSync(half, out);
} catch (error) {
  fail(4, error.message);
}

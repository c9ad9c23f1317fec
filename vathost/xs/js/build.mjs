/* node build.mjs NPM OUT...: bundles the supervisor, one script per golden snapshot, and web.js, whose
 * value stays in a variable of its name. NPM is the directory with node_modules; each OUT/NAME.js is
 * made from NAME.js beside this file. */
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [npm, ...outs] = process.argv.slice(2).map(it => path.resolve(it));
const here = path.dirname(new URL(import.meta.url).pathname);
const { build } = createRequire(path.join(npm, 'package.json'))('esbuild');

/* liveslots 0.11.0 loses E.sendOnly(): it allots a result promise that nobody asked for and then
 * uses the undefined promise as a key, where it throws into nothing. Here a message without a
 * result promise leaves without one. */
const patches = [
  {
    file: /swingset-liveslots\/src\/liveslots\.js$/,
    changes: [
      [
        `    const resultVPID = allocatePromiseID();
    lsdebug(\`Promise allocation \${forVatID}:\${resultVPID} in queueMessage\`);`,
        `    if (returnedP === undefined) {
      syscall.send(targetSlot, serMethargs, undefined);
      return followSlots(serMethargs) && undefined;
    }
    const resultVPID = allocatePromiseID();
    lsdebug(\`Promise allocation \${forVatID}:\${resultVPID} in queueMessage\`);`,
      ],
      [
        `    const maybeNewVPIDs = new Set(serMethargs.slots);
    const resolutions = resolutionCollector().forSlots(serMethargs.slots);`,
        `    if (!followSlots(serMethargs)) return null;
    syscall.subscribe(resultVPID);
    return pRec.promise;
  }

  function followSlots(serMethargs) {
    const maybeNewVPIDs = new Set(serMethargs.slots);
    const resolutions = resolutionCollector().forSlots(serMethargs.slots);`,
      ],
      [
        `        syscall.exit(true, m.serialize(e));
        return null;
      }
      syscall.resolve(resolutions);
      for (const resolution of resolutions) {
        const [_xvpid, _isReject, resolutionCD] = resolution;`,
        `        syscall.exit(true, m.serialize(e));
        return false;
      }
      syscall.resolve(resolutions);
      for (const resolution of resolutions) {
        const [_xvpid, _isReject, resolutionCD] = resolution;`,
      ],
      [
        `    syscall.subscribe(resultVPID);

    // We return our new 'pRec.promise' to the handler, and when we`,
        `    return true;

    // We return our new 'pRec.promise' to the handler, and when we`,
      ],
      [
        `    // registered and retained by importedVPIDs.

    return pRec.promise;
  }`,
        `    // registered and retained by importedVPIDs.
  }`,
      ],
    ],
  },
];

/* Exact texts only: a package that changed must not be patched by chance, nor go unpatched. */
const patched = new Set();
const patch = {
  name: 'patch',
  setup: ({ onLoad }) => {
    for (const { file, changes } of patches) {
      onLoad({ filter: file }, ({ path: at }) => {
        let contents = fs.readFileSync(at, 'utf8');
        for (const [from, to] of changes) {
          if (contents.split(from).length !== 2) {
            return { errors: [{ text: `patch does not fit: expected exactly once:\n${from}`, location: { file: at } }] };
          }
          contents = contents.replace(from, () => to);
        }
        patched.add(file);
        return { contents, loader: 'js' };
      });
    }
  },
};

for (const out of outs) {
  const isWeb = path.basename(out) === 'web.js';
  patched.clear();
  await build({
    entryPoints: [path.join(here, path.basename(out))],
    outfile: out,
    bundle: true,
    format: 'iife',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['import'],
    nodePaths: [path.join(npm, 'node_modules')],
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    banner: { js: '"use strict";' }, // esbuild takes the modules' strictness away
    logLevel: 'warning',
    plugins: [patch],
    ...(isWeb && { globalName: 'web', alias: { tr46: path.join(here, 'idna.js') }, minifyWhitespace: true }),
  });
  if (!isWeb && patched.size !== patches.length) throw Error(`${out}: a patch met no file`);
}

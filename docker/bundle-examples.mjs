// Makes the clusters below FOLDER ones that need no Node: each source is bundled, and cluster.json names the bundle.
//   node bundle-examples.mjs VATCTL FOLDER
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [vatctl, folder] = process.argv.slice(2);

const bundled = file => {
  const cluster = JSON.parse(readFileSync(file, 'utf8'));
  for (const code of [...Object.values(cluster.vats), ...Object.values(cluster.bundles ?? {})]) {
    if (!code.sourceSpec) continue;
    const { sourceSpec } = code;
    const bundleSpec = sourceSpec.replace(/\.[a-z]+$/, '.bundle.json');
    const where = dirname(file);
    execFileSync(vatctl, ['bundle', 'make', join(where, sourceSpec), '-o', join(where, bundleSpec)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    delete code.sourceSpec;
    code.bundleSpec = bundleSpec;
  }
  delete cluster.$schema;
  writeFileSync(file, `${JSON.stringify(cluster, undefined, 2)}\n`);
};

const walk = where => {
  for (const entry of readdirSync(where, { withFileTypes: true })) {
    const path = join(where, entry.name);
    if (entry.isDirectory()) walk(path);
    else if (entry.name === 'cluster.json') bundled(path);
  }
};

walk(folder);

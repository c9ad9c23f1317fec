import { makeBuild } from './upgraded.js';

export const buildRootObject = makeBuild('throws', { throws: true });

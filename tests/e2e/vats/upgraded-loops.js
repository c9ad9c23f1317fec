import { makeBuild } from './upgraded.js';

export const buildRootObject = makeBuild('loops', { loops: true });

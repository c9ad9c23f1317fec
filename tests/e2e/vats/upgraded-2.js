import { makeBuild } from './upgraded.js';

export const buildRootObject = makeBuild(2);

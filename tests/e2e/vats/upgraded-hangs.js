import { makeBuild } from './upgraded.js';

export const buildRootObject = makeBuild('hangs', { hangs: true });

import { makeBuild } from './upgraded.js';

export const buildRootObject = makeBuild('forgets', { forgets: true });

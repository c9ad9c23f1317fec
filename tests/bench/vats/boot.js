// Stands at the beginning of a cluster, and does nothing.
import { Far } from '@endo/far';

export const buildRootObject = () => Far('boot', { bootstrap: () => {} });

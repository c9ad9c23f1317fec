import { Far } from '@endo/far';

export const buildRootObject = () => Far('Boss', { bootstrap: () => 'ready' });

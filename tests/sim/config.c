/* What a seed says about the world before anything happens in it. */
#include <stdio.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

static bool on(const sim_options_t *options, fault_t fault) { return !(options->off >> fault & 1); }

static unsigned window_of(chance_t *chance)
{
    static const unsigned some[] = {1, 1, 2, 3, 4, 8, 16, 16};
    return some[roll(chance, sizeof some / sizeof *some)];
}

static uint64_t threshold_of(chance_t *chance, unsigned most)
{
    return once_in(chance, 5) ? REAP_NEVER : 1 + roll(chance, once_in(chance, 2) ? 5 : most);
}

static vat_config_t vat_of(const sim_options_t *options, unsigned vat, unsigned hosts,
                           unsigned cluster)
{
    chance_t chance = chance_of(options->seed, 'V', vat, 0, 0);
    vat_config_t config = {
        .cluster = cluster, .window = window_of(&chance), .host = roll(&chance, hosts)};
    config.reap_deliveries = threshold_of(&chance, 50);
    config.reap_krefs = threshold_of(&chance, 30);
    config.rude = once_in(&chance, 6) && on(options, FAULT_rude);
    config.eager = once_in(&chance, 3) && on(options, FAULT_eager);
    config.exits = once_in(&chance, 6) && on(options, FAULT_exit);
    config.critical = once_in(&chance, 12) && on(options, FAULT_critical);
    config.outside = once_in(&chance, 3) && on(options, FAULT_outside);
    config.mirror = once_in(&chance, 3) && on(options, FAULT_mirror);
    config.poison = roll(&chance, 3);
    config.every =
        on(options, FAULT_checkpoint) ? 1 + roll(&chance, once_in(&chance, 2) ? 8 : 60) : 0;
    if (!on(options, FAULT_window)) config.window = 1;
    config.abandons = once_in(&chance, 6) && config.window == 1 && on(options, FAULT_abandon);
    if (!on(options, FAULT_reap)) config.reap_deliveries = config.reap_krefs = REAP_NEVER;
    return config;
}

/* A vat that a vat makes; it has the window of its cluster's first vat. */
static vat_config_t made_of(const sim_options_t *options, unsigned number)
{
    chance_t chance = chance_of(options->seed, 'M', number, 0, 0);
    vat_config_t config = {.rude = once_in(&chance, 8) && on(options, FAULT_rude)};
    config.eager = once_in(&chance, 3) && on(options, FAULT_eager);
    config.exits = once_in(&chance, 4) && on(options, FAULT_exit);
    return config;
}

/* What the vat of ROW is like: one of a file says so by its name. */
const vat_config_t *config_role(const config_t *config, const row_vat_t *row)
{
    if (row->dynamic) return &config->made[row->vat];
    unsigned place = 0;
    for (size_t i = 1; i < row->name.len; i++)
        place = 10 * place + (unsigned)(row->name.at[i] - '0');
    must(place >= 1 && place <= config->vats);
    return &config->vat[place - 1];
}

config_t config_of(const sim_options_t *options)
{
    chance_t chance = chance_of(options->seed, 'C', 0, 0, 0);
    config_t config = {.hosts = 1 + roll(&chance, HOSTS_MAX)};
    config.clusters = once_in(&chance, 3) ? 2 : 1;
    config.vats = 2 + roll(&chance, config.clusters == 2 ? 5 : 3);
    config.steps = 150 + roll(&chance, once_in(&chance, 4) ? 2000 : 450);
    config.calls = 3 + config.steps / (10 + roll(&chance, 80));
    static const unsigned rates[] = {1000000, 60, 30, 15, 8};
    config.accident = rates[roll(&chance, 5)];
    config.budget = 2 + roll(&chance, 9);
    config.group =
        once_in(&chance, 3) && on(options, FAULT_group) ? 2 + roll(&chance, GROUP_MAX - 1) : 1;
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        config.weights[i] = once_in(&chance, 4) ? 0 : 1 + roll(&chance, 4);
    for (unsigned i = 0; i < CLUSTERS_MAX; i++) {
        config.dialect[i] = roll(&chance, 2);
        config.channel[i] = once_in(&chance, 2) && on(options, FAULT_outside);
    }
    for (unsigned n = 1; n <= VATS_MAX; n++) config.made[n] = made_of(options, n);
    for (unsigned i = 0; i < CLUSTERS_MAX; i++)
        config.serial[i] = once_in(&chance, 10) && on(options, FAULT_serial);
    if (options->vats_max && config.vats > options->vats_max) config.vats = options->vats_max;
    if (options->steps_max && config.steps > options->steps_max) config.steps = options->steps_max;
    if (config.vats < 2) config.clusters = 1;
    for (unsigned v = 0; v < config.vats; v++) {
        unsigned cluster = config.clusters == 2 && v >= (config.vats + 1) / 2;
        config.vat[v] = vat_of(options, v + 1, config.hosts, cluster);
    }
    return config;
}

void sim_describe(const sim_options_t *options, char *text, size_t room)
{
    config_t config = config_of(options);
    int len = snprintf(text, room,
                       "%u vats in %u cluster(s) on %u host(s), %u steps, accident 1/%u, commits "
                       "of up to %u, windows",
                       config.vats, config.clusters, config.hosts, config.steps, config.accident,
                       config.group);
    for (unsigned v = 0; v < config.vats && len > 0 && (size_t)len < room; v++) {
        const vat_config_t *vat = &config.vat[v];
        len += snprintf(text + len, room - (size_t)len, " %u%s%s%s%s%s", vat->window,
                        vat->rude ? "r" : "", vat->eager ? "e" : "", vat->exits ? "x" : "",
                        vat->abandons ? "a" : "", vat->critical ? "c" : "");
    }
}

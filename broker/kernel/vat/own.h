/* Between the files of this folder: nobody else includes it. */
#pragma once
#include "broker/kernel/vat/vat.h"

/* ---- globals.c: what a vat may ask for ---- */
CHECKED err_t parameters_check(const capdata_t *data);
value_t *globals_wrap(kernel_t *k, kvat_t *vat, value_t *parameters);

/* ---- cluster_end.c ---- */
bool vat_forgettable(const kvat_t *vat);
void cluster_remove(kernel_t *k, kcluster_t *cluster, bool forget, bool asked, const char *why,
                    cause_t cause);
void cluster_launch_ends(kernel_t *k, const kcluster_t *cluster);
void cluster_vat_ended(kernel_t *k, kcluster_t *cluster, const kvat_t *vat);

/* ---- cluster.c ---- */
id128_t cluster_request(const kcluster_t *cluster);
void cluster_without(kcluster_t *cluster, const kvat_t *vat);

/* ---- bootstrap.c ---- */
bool service_named(text_t name, bool system);
value_t *bootstrap_value(kernel_t *k, const kcluster_t *cluster);

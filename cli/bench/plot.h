/* Plots as inline SVG: axes with round numbers, lines, and labels beside them. No scripts; colours are the
 * page's variables, so that light and dark are its matter. Everything written is well-formed XML. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum { SCALE_LINEAR, SCALE_LOG } scale_t;

typedef void plot_label_t(double value, char *ret, size_t room);

typedef struct {
    double x, y;
} point_t;

typedef struct {
    FILE *out;
    const char *title;
    double x_min, x_max, y_min, y_max; /* of the data; y_min above 0 when logarithmic */
    scale_t y_scale;
    plot_label_t *x_label, *y_label;
    const double *x_ticks; /* NULL: round numbers */
    size_t x_tick_count;
} plot_t;

/* Appends TEXT, with what XML does not take as it is written as entities; control characters become '?'. */
void xml_text(FILE *out, const char *text);

/* The frame, the grid and its labels. Y is widened to whole ticks. */
void plot_begin(plot_t *self);
/* A line through COUNT points in the colour of the variable COLOR ("--a"), with NAME at its end, NUDGE below
 * the line; FILL: the area below it as well. */
void plot_line(const plot_t *self, const point_t *points, size_t count, const char *color,
               const char *name, double nudge, bool fill);
void plot_end(const plot_t *self);

/* About COUNT round numbers from MIN to MAX: the distance between them. */
double tick_step(double min, double max, unsigned count);

#include "cli/bench/plot.h"

#include <math.h>
#include <string.h>

#include "wire/base/must.h"

enum { WIDTH = 720, HEIGHT = 280, LEFT = 76, RIGHT = 84, TOP = 16, BOTTOM = 34 };

void xml_text(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        switch (*c) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, out);
        }
    }
}

double tick_step(double min, double max, unsigned count)
{
    double rough = (max - min) / count;

    if (!(rough > 0)) return 1;
    double power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static double x_at(const plot_t *self, double x)
{
    double span = self->x_max - self->x_min;

    return LEFT + (WIDTH - LEFT - RIGHT) * (span > 0 ? (x - self->x_min) / span : 0.5);
}

static double y_at(const plot_t *self, double y)
{
    bool log = self->y_scale == SCALE_LOG;
    double low = log ? log10(self->y_min) : self->y_min,
           high = log ? log10(self->y_max) : self->y_max;
    double at = log ? log10(y > self->y_min ? y : self->y_min) : y;

    return HEIGHT - BOTTOM -
           (HEIGHT - TOP - BOTTOM) * (high > low ? (at - low) / (high - low) : 0.5);
}

static void y_tick(const plot_t *self, double y)
{
    char label[64];

    self->y_label(y, label, sizeof label);
    fprintf(self->out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
            WIDTH - RIGHT, y_at(self, y), y_at(self, y));
    fprintf(self->out, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 8,
            y_at(self, y) + 4);
    xml_text(self->out, label);
    fputs("</text>\n", self->out);
}

static void x_tick(const plot_t *self, double x)
{
    char label[64];

    self->x_label(x, label, sizeof label);
    fprintf(self->out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
            x_at(self, x), x_at(self, x), TOP, HEIGHT - BOTTOM);
    fprintf(self->out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">",
            x_at(self, x), HEIGHT - BOTTOM + 18);
    xml_text(self->out, label);
    fputs("</text>\n", self->out);
}

static void y_ticks(plot_t *self)
{
    if (self->y_scale == SCALE_LOG) {
        must(self->y_min > 0);
        self->y_min = pow(10, floor(log10(self->y_min)));
        self->y_max = pow(10, ceil(log10(self->y_max)));
        if (!(self->y_max > self->y_min)) self->y_max = 10 * self->y_min;
        bool few = self->y_max <= 101 * self->y_min; /* two decades at most: 2 and 5 as well */
        for (double y = self->y_min; y <= self->y_max * 1.001; y *= 10) {
            y_tick(self, y);
            if (!few || 5 * y > self->y_max) continue;
            y_tick(self, 2 * y);
            y_tick(self, 5 * y);
        }
        return;
    }
    double step = tick_step(self->y_min, self->y_max, 4);
    self->y_min = step * floor(self->y_min / step);
    self->y_max = step * ceil(self->y_max / step);
    if (!(self->y_max > self->y_min)) self->y_max = self->y_min + step;
    for (double y = self->y_min; y <= self->y_max + step / 2; y += step) y_tick(self, y);
}

void plot_begin(plot_t *self)
{
    fprintf(self->out, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH, HEIGHT);
    xml_text(self->out, self->title);
    fputs("</title>\n", self->out);
    y_ticks(self);
    for (size_t i = 0; i < self->x_tick_count; i++) {
        if (self->x_ticks[i] <= self->x_max) x_tick(self, self->x_ticks[i]);
    }
    if (self->x_ticks) return;
    double step = tick_step(self->x_min, self->x_max, 8);
    for (double x = step * ceil(self->x_min / step); x <= self->x_max; x += step) x_tick(self, x);
}

void plot_line(const plot_t *self, const point_t *points, size_t count, const char *color,
               const char *name, double nudge, bool fill)
{
    if (!count) return;
    if (fill) {
        fprintf(self->out, "<polygon style=\"fill:var(%s);opacity:.14\" points=\"%.1f,%.1f", color,
                x_at(self, points[0].x), y_at(self, self->y_min));
        for (size_t i = 0; i < count; i++)
            fprintf(self->out, " %.1f,%.1f", x_at(self, points[i].x), y_at(self, points[i].y));
        fprintf(self->out, " %.1f,%.1f\"/>\n", x_at(self, points[count - 1].x),
                y_at(self, self->y_min));
    }
    fprintf(self->out, "<polyline class=\"line\" style=\"stroke:var(%s)\" points=\"", color);
    for (size_t i = 0; i < count; i++)
        fprintf(self->out, "%s%.1f,%.1f", i ? " " : "", x_at(self, points[i].x),
                y_at(self, points[i].y));
    fputs("\"/>\n", self->out);
    /* A line of one point is not seen. */
    if (count == 1)
        fprintf(self->out, "<circle style=\"fill:var(%s)\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n",
                color, x_at(self, points[0].x), y_at(self, points[0].y));
    fprintf(self->out, "<text class=\"name\" style=\"fill:var(%s)\" x=\"%.1f\" y=\"%.1f\">", color,
            x_at(self, points[count - 1].x) + 6, y_at(self, points[count - 1].y) + 4 + nudge);
    xml_text(self->out, name);
    fputs("</text>\n", self->out);
}

void plot_end(const plot_t *self) { fputs("</svg>\n", self->out); }

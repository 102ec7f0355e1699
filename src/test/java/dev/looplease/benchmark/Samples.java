package dev.looplease.benchmark;

import java.util.Arrays;
import java.util.Locale;

/** Durations in nanoseconds, and what is told of them. */
final class Samples {

    private long[] values = new long[1024];
    private int count;
    private boolean sorted;

    void add(long nanos) {
        if (count == values.length) {
            values = Arrays.copyOf(values, 2 * count);
        }
        values[count++] = nanos;
        sorted = false;
    }

    void add(Samples more) {
        for (int i = 0; i < more.count; i++) {
            add(more.values[i]);
        }
    }

    int count() {
        return count;
    }

    long median() {
        return quantile(0.5);
    }

    long p99() {
        return quantile(0.99);
    }

    long max() {
        return quantile(1);
    }

    /** 0 where there is none. */
    long quantile(double q) {
        if (count == 0) {
            return 0;
        }
        if (!sorted) {
            Arrays.sort(values, 0, count);
            sorted = true;
        }
        return values[Math.min(count - 1, (int) (q * count))];
    }

    static String millis(long nanos) {
        return String.format(Locale.ROOT, nanos < 10_000_000 ? "%.3f" : "%.1f", nanos / 1e6);
    }

    static String ratio(long of, long to) {
        return to == 0 ? "" : String.format(Locale.ROOT, of < 20 * to ? "%.2f" : "%.0f", (double) of / to);
    }
}

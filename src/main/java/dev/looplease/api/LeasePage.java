package dev.looplease.api;

import io.swagger.v3.oas.annotations.media.Schema;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A page of leases. */
record LeasePage(
        List<LeaseView> items,

        @Schema(
                description = "pageToken for the next page; null on the last one.",
                example = "MDAxNzk1Mzc3MjgwMDAwdzdmMGMybjRzOHkxdDViOQ")
        @Nullable
        String nextPageToken) {}

package dev.looplease.acceptance;

import dev.looplease.KernelTest;

@KernelTest
class SwapRaceIoctlTest extends SwapRaceContract {}

package dev.looplease.acceptance;

import dev.looplease.KernelTest;
import org.springframework.test.context.TestPropertySource;

@KernelTest
@TestPropertySource(properties = "looplease.backend=losetup")
class SwapRaceLosetupTest extends SwapRaceContract {}

package dev.looplease.api;

import java.util.List;

/** Who uses a device. */
record DeviceUserPage(List<DeviceUserView> items) {}

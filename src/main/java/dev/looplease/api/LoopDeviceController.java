package dev.looplease.api;

import dev.looplease.loop.Caller;
import dev.looplease.loop.DeviceFilter;
import dev.looplease.loop.DeviceRef;
import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.LoopSnapshot;
import dev.looplease.loop.LoopState;
import dev.looplease.loop.Slice;
import dev.looplease.loop.WallClock;
import io.swagger.v3.oas.annotations.Operation;
import io.swagger.v3.oas.annotations.Parameter;
import io.swagger.v3.oas.annotations.enums.ParameterIn;
import io.swagger.v3.oas.annotations.media.ArraySchema;
import io.swagger.v3.oas.annotations.media.Content;
import io.swagger.v3.oas.annotations.media.Schema;
import io.swagger.v3.oas.annotations.responses.ApiResponse;
import io.swagger.v3.oas.annotations.tags.Tag;
import jakarta.servlet.http.HttpServletRequest;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PatchMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** {@code /loop-devices}: ask for a device, look at all of the host, change and return one's own. */
@RestController
@RequestMapping(path = "/loop-devices", produces = MediaType.APPLICATION_JSON_VALUE)
@Tag(name = "Loop devices", description = "Real /dev/loopN of this host, lent by a lease.")
class LoopDeviceController {

    private static final String REF =
            "The device's id, or the kernel's name (loop7). A change by name needs If-Match, because a loop number changes hands.";
    private static final String IF_MATCH = "Only if the device still has this ETag; 412 otherwise.";

    private final LoopService service;
    private final IdempotencyKeys keys;
    private final WallClock clock;

    LoopDeviceController(LoopService service, IdempotencyKeys keys, WallClock clock) {
        this.service = service;
        this.keys = keys;
        this.clock = clock;
    }

    @PostMapping
    @Operation(
            operationId = "createLoopDevice",
            summary = "Ask for a loop device",
            description =
                    "Makes an image, attaches it to a loop device and answers when the kernel has confirmed size, read-only flag, sector size and node. Whatever fails, nothing is left behind.")
    @MayRefuse({
        LoopException.NameTaken.class,
        LoopException.ImageExists.class,
        LoopException.ImageOverlap.class,
        LoopException.DirectIoUnavailable.class,
        LoopException.WrongState.class,
        LoopException.KernelFailure.class,
        LoopException.CapacityExhausted.class,
        LoopException.InsufficientStorage.class
    })
    @ApiResponse(responseCode = "201", description = "The device; Location names it, ETag its revision.")
    @ApiResponse(
            responseCode = "200",
            description = "The device that the same request with the same Idempotency-Key made before, as it is now.")
    ResponseEntity<LoopDeviceView> create(
            @Parameter(description = IdempotencyKeys.DESCRIPTION)
                    @RequestHeader(name = IdempotencyKeys.HEADER, required = false)
                    @Nullable
                    String idempotencyKey,
            @RequestBody(required = false) @Nullable CreateLoopDevice body,
            @AuthenticationPrincipal Caller caller) {
        CreateLoopDevice wanted = body == null ? CreateLoopDevice.DEFAULT : body;
        LoopService.Answer<LoopSnapshot> answer;
        try {
            answer = service.create(
                    wanted.toSpec(service.limits()),
                    wanted.toLease(),
                    caller,
                    keys.parse(idempotencyKey, "/loop-devices", wanted));
        } catch (LoopException.Invalid e) {
            throw e.naming(wanted::asked);
        } catch (LoopException.InsufficientStorage e) {
            throw e.naming(wanted::asked);
        }
        LoopSnapshot made = answer.value();
        ResponseEntity.BodyBuilder response = answer.repeated()
                ? ResponseEntity.ok()
                : ResponseEntity.created(URI.create("/loop-devices/" + made.requiredId()));
        return response.eTag(made.etag()).body(view(made));
    }

    @GetMapping
    @Operation(
            operationId = "listLoopDevices",
            summary = "List the host's loop devices",
            description =
                    "Every attached loop device of the host by number, foreign ones with managed: false; then this agent's detached ones.",
            parameters =
                    @Parameter(
                            name = "label",
                            in = ParameterIn.QUERY,
                            description = "Only devices with this label, as key=value; several must all be there.",
                            array = @ArraySchema(schema = @Schema(type = "string"))))
    @MayRefuse({LoopException.KernelFailure.class})
    @ApiResponse(responseCode = "200", description = "A page of devices.")
    LoopDevicePage list(
            @Parameter(description = "Only this agent's devices (true) or only foreign ones (false).")
                    @RequestParam(required = false)
                    @Nullable
                    Boolean managed,
            @Parameter(description = "Only devices of this lease.") @RequestParam(required = false) @Nullable
                    String leaseId,
            @Parameter(description = "Only devices in this state.") @RequestParam(required = false) @Nullable
                    LoopState state,
            @Parameter(
                            description = "At most so many.",
                            schema =
                                    @Schema(
                                            type = "integer",
                                            format = "int32",
                                            minimum = "1",
                                            maximum = "10000",
                                            defaultValue = "100"))
                    @RequestParam(defaultValue = "100")
                    int pageSize,
            @Parameter(description = "nextPageToken of the page before.") @RequestParam(required = false) @Nullable
                    String pageToken,
            HttpServletRequest request,
            @AuthenticationPrincipal Caller caller) {
        Page.checkSize(pageSize);
        List<DeviceFilter.Label> labels = new ArrayList<>();
        // Read by hand: Spring would split a single value at its commas.
        for (String label : Objects.requireNonNullElse(request.getParameterValues("label"), new String[0])) {
            labels.add(parseLabel(label));
        }
        Slice slice = service.list(
                new DeviceFilter(managed, leaseId, state, labels), DevicePlaces.parse(pageToken), pageSize, caller);
        return new LoopDevicePage(slice.items().stream().map(this::view).toList(), DevicePlaces.token(slice.next()));
    }

    private static DeviceFilter.Label parseLabel(String text) {
        int equals = text.indexOf('=');
        if (equals < 1) {
            throw new LoopException.Invalid("label", "must be key=value");
        }
        return new DeviceFilter.Label(text.substring(0, equals), text.substring(equals + 1));
    }

    @GetMapping("/{ref}")
    @Operation(
            operationId = "getLoopDevice",
            summary = "Look at a loop device",
            description = "As the kernel has it now. A foreign device can be read by its name only.")
    @ApiResponse(responseCode = "200", description = "The device; ETag is its revision.")
    ResponseEntity<LoopDeviceView> get(
            @Parameter(description = REF) @PathVariable String ref,
            HttpServletRequest request,
            @AuthenticationPrincipal Caller caller) {
        return Preconditions.unlessNoneIsWanted(request, ok(service.get(DeviceRef.parse(ref), caller)));
    }

    @GetMapping("/{ref}/users")
    @Operation(
            operationId = "listLoopDeviceUsers",
            summary = "See who uses a loop device",
            description =
                    "Looked up now: mounts in every mount namespace, swap, device-mapper and md holders, loop devices on top, and processes that have it open.")
    @ApiResponse(responseCode = "200", description = "Its users; none is an empty list.")
    DeviceUserPage users(
            @Parameter(description = REF) @PathVariable String ref, @AuthenticationPrincipal Caller caller) {
        return new DeviceUserPage(service.users(DeviceRef.parse(ref), caller).stream()
                .map(DeviceUserView::of)
                .toList());
    }

    @PatchMapping("/{ref}")
    @Operation(
            operationId = "changeLoopDevice",
            summary = "Resize or change a loop device",
            description =
                    "Grows (or, if allowed, shrinks) the image and the device, switches direct I/O, sets the sector size, replaces labels: all of it or nothing.")
    @MayRefuse({
        LoopException.DeviceBusy.class,
        LoopException.DirectIoUnavailable.class,
        LoopException.CapacityExhausted.class,
        LoopException.InsufficientStorage.class
    })
    @ApiResponse(responseCode = "200", description = "The device as it is now.")
    ResponseEntity<LoopDeviceView> patch(
            @Parameter(description = REF) @PathVariable String ref,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @RequestBody PatchLoopDevice body,
            @AuthenticationPrincipal Caller caller) {
        return ok(service.patch(DeviceRef.parse(ref), Preconditions.parse(ifMatch), body.toPatch(), caller));
    }

    @PostMapping("/{ref}/detach")
    @Operation(
            operationId = "detachLoopDevice",
            summary = "Detach a loop device and keep its image",
            description =
                    "A device that is detached already stays so. Refused while somebody uses it, and where its image has no name any more.")
    @MayRefuse({LoopException.DeviceBusy.class})
    @ApiResponse(responseCode = "200", description = "The device, DETACHED.")
    ResponseEntity<LoopDeviceView> detach(
            @Parameter(description = REF) @PathVariable String ref,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @AuthenticationPrincipal Caller caller) {
        return ok(service.detach(DeviceRef.parse(ref), Preconditions.parse(ifMatch), caller));
    }

    @PostMapping("/{ref}/attach")
    @Operation(
            operationId = "attachLoopDevice",
            summary = "Attach a detached device again",
            description =
                    "With the same image and options; to the number that was asked for by name, else to the first free one.")
    @MayRefuse({
        LoopException.NameTaken.class,
        LoopException.ImageOverlap.class,
        LoopException.DirectIoUnavailable.class,
        LoopException.InsufficientStorage.class
    })
    @ApiResponse(responseCode = "200", description = "The device, READY.")
    ResponseEntity<LoopDeviceView> attach(
            @Parameter(description = REF) @PathVariable String ref,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @AuthenticationPrincipal Caller caller) {
        return ok(service.attach(DeviceRef.parse(ref), Preconditions.parse(ifMatch), caller));
    }

    @DeleteMapping("/{ref}")
    @Operation(
            operationId = "deleteLoopDevice",
            summary = "Return a loop device",
            description =
                    "Detaches it and deletes the image, if the agent made it. Refused with its users while somebody uses it, unless force removes them. The id of a device that ended already is answered 204 too.")
    @MayRefuse({LoopException.DeviceBusy.class})
    @ApiResponse(responseCode = "204", description = "Device and image are gone.", content = @Content)
    @ApiResponse(
            responseCode = "202",
            description = "It is being released; somebody still holds it open, and it finishes by itself.",
            content = @Content(schema = @Schema(implementation = LoopDeviceView.class)))
    ResponseEntity<LoopDeviceView> delete(
            @Parameter(description = REF) @PathVariable String ref,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @Parameter(description = "Unmount it, stop swap on it, drop holders and partitions first.")
                    @RequestParam(defaultValue = "false")
                    boolean force,
            @AuthenticationPrincipal Caller caller) {
        try {
            return switch (service.delete(DeviceRef.parse(ref), Preconditions.parse(ifMatch), force, caller)) {
                case LoopService.Release.Done done -> ResponseEntity.noContent().build();
                case LoopService.Release.Pending pending ->
                    ResponseEntity.status(HttpStatus.ACCEPTED)
                            .eTag(pending.device().etag())
                            .body(view(pending.device()));
            };
        } catch (LoopException.Ended gone) {
            return ResponseEntity.noContent().build();
        }
    }

    private ResponseEntity<LoopDeviceView> ok(LoopSnapshot device) {
        return ResponseEntity.ok().eTag(device.etag()).body(view(device));
    }

    private LoopDeviceView view(LoopSnapshot device) {
        return LoopDeviceView.of(device, clock);
    }
}

package dev.looplease.api;

import dev.looplease.loop.Caller;
import dev.looplease.loop.LeaseSnapshot;
import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.WallClock;
import io.swagger.v3.oas.annotations.Operation;
import io.swagger.v3.oas.annotations.Parameter;
import io.swagger.v3.oas.annotations.media.Content;
import io.swagger.v3.oas.annotations.media.Schema;
import io.swagger.v3.oas.annotations.responses.ApiResponse;
import io.swagger.v3.oas.annotations.tags.Tag;
import jakarta.servlet.http.HttpServletRequest;
import java.net.URI;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** {@code /leases}: until when devices are kept. */
@RestController
@RequestMapping(path = "/leases", produces = MediaType.APPLICATION_JSON_VALUE)
@Tag(name = "Leases", description = "How long devices are kept. What is not renewed in time is cleaned up.")
class LeaseController {

    private static final String ID = "The lease's id.";
    private static final String IF_MATCH = "Only if the lease still has this ETag; 412 otherwise.";

    private static final Page.Order<LeaseSnapshot> ORDER =
            new Page.Order<>(LeaseController::key, Pattern.compile("[0-9]{15}[0-9a-z]+"));

    private final LoopService service;
    private final IdempotencyKeys keys;
    private final WallClock clock;

    LeaseController(LoopService service, IdempotencyKeys keys, WallClock clock) {
        this.service = service;
        this.keys = keys;
        this.clock = clock;
    }

    @PostMapping
    @Operation(
            operationId = "createLease",
            summary = "Make a lease, with devices",
            description =
                    "One lease can hold many devices: one heartbeat, and one call to give everything back. The devices are made all or none. Further ones join by leaseId.")
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
    @ApiResponse(responseCode = "201", description = "The lease and its devices; Location names it, ETag its revision.")
    @ApiResponse(
            responseCode = "200",
            description = "The lease that the same request with the same Idempotency-Key made before, as it is now.")
    ResponseEntity<LeaseGroupView> create(
            @Parameter(description = IdempotencyKeys.DESCRIPTION)
                    @RequestHeader(name = IdempotencyKeys.HEADER, required = false)
                    @Nullable
                    String idempotencyKey,
            @RequestBody(required = false) @Nullable CreateLease body,
            @AuthenticationPrincipal Caller caller) {
        CreateLease wanted = body == null ? CreateLease.DEFAULT : body;
        service.refuseTooMany(wanted.count(), caller);
        LoopService.Answer<LoopService.Group> answer;
        try {
            answer = service.createLease(
                    wanted.toTerms(),
                    wanted.toSpecs(service.limits()),
                    caller,
                    keys.parse(idempotencyKey, "/leases", wanted));
        } catch (LoopException.Invalid e) {
            throw e.naming(wanted::asked);
        } catch (LoopException.InsufficientStorage e) {
            throw e.naming(wanted::asked);
        }
        LeaseSnapshot lease = answer.value().lease();
        ResponseEntity.BodyBuilder response =
                answer.repeated() ? ResponseEntity.ok() : ResponseEntity.created(URI.create("/leases/" + lease.id()));
        return response.eTag(lease.etag()).body(LeaseGroupView.of(answer.value(), clock));
    }

    @GetMapping
    @Operation(operationId = "listLeases", summary = "List leases", description = "The oldest first.")
    @ApiResponse(responseCode = "200", description = "A page of leases.")
    LeasePage list(
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
            @AuthenticationPrincipal Caller caller) {
        Page<LeaseView> page = Page.of(service.leases(caller), ORDER, pageSize, pageToken, this::view);
        return new LeasePage(page.items(), page.nextPageToken());
    }

    /** By time of making, then by id. */
    private static String key(LeaseSnapshot lease) {
        return String.format("%015d%s", lease.createTime().toEpochMilli(), lease.id());
    }

    @GetMapping("/{id}")
    @Operation(
            operationId = "getLease",
            summary = "Look at a lease",
            description = "Until when it lives, and which devices end with it.")
    @ApiResponse(responseCode = "200", description = "The lease; ETag is its revision.")
    ResponseEntity<LeaseView> get(
            @Parameter(description = ID) @PathVariable String id,
            HttpServletRequest request,
            @AuthenticationPrincipal Caller caller) {
        return Preconditions.unlessNoneIsWanted(request, ok(service.lease(id, caller)));
    }

    @PostMapping("/{id}/renew")
    @Operation(
            operationId = "renewLease",
            summary = "Prolong a lease",
            description =
                    "It then lives its ttl from now, never past maxExpireTime; the times in the answer are the truth. A lease that ended never comes back.")
    @ApiResponse(responseCode = "200", description = "The lease with its new times.")
    ResponseEntity<LeaseView> renew(
            @Parameter(description = ID) @PathVariable String id,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @RequestBody(required = false) @Nullable RenewLease body,
            @AuthenticationPrincipal Caller caller) {
        OptionalLong ttl = body == null ? OptionalLong.empty() : body.ttl();
        return ok(service.renew(id, Preconditions.parse(ifMatch), ttl, caller));
    }

    @DeleteMapping("/{id}")
    @Operation(
            operationId = "endLease",
            summary = "End a lease and return its devices",
            description =
                    "Its devices are released as its onExpiry says. A lease that ended already is answered 204 too.")
    @ApiResponse(responseCode = "204", description = "All its devices are gone.", content = @Content)
    @ApiResponse(
            responseCode = "202",
            description = "Some devices are still being released; repeat to see whether they are gone.",
            content = @Content(schema = @Schema(implementation = LeaseView.class)))
    ResponseEntity<LeaseView> end(
            @Parameter(description = ID) @PathVariable String id,
            @Parameter(description = IF_MATCH) @RequestHeader(name = HttpHeaders.IF_MATCH, required = false) @Nullable
                    String ifMatch,
            @AuthenticationPrincipal Caller caller) {
        try {
            if (service.endLease(id, Preconditions.parse(ifMatch), caller)) {
                return ResponseEntity.noContent().build();
            }
            LeaseSnapshot lease = service.lease(id, caller);
            return ResponseEntity.status(HttpStatus.ACCEPTED).eTag(lease.etag()).body(view(lease));
        } catch (LoopException.Ended gone) {
            return ResponseEntity.noContent().build();
        }
    }

    private ResponseEntity<LeaseView> ok(LeaseSnapshot lease) {
        return ResponseEntity.ok().eTag(lease.etag()).body(view(lease));
    }

    private LeaseView view(LeaseSnapshot lease) {
        return LeaseView.of(lease, clock);
    }
}

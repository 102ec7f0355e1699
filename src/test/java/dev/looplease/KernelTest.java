package dev.looplease;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A test on the real kernel with real loop devices. Where there are none it is skipped, visibly; with
 * {@code -Dlooplease.kernel-tests=required} it runs, and so fails, there too.
 */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Tag("kernel")
@ExtendWith(KernelTest.Condition.class)
public @interface KernelTest {

    /** Asks whether this process may control loop devices. */
    class Condition implements ExecutionCondition {

        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            if (System.getProperty("looplease.kernel-tests", "auto").equals("required")) {
                return ConditionEvaluationResult.enabled("kernel tests are required");
            }
            return Files.isWritable(Path.of("/dev/loop-control"))
                    ? ConditionEvaluationResult.enabled("/dev/loop-control is there")
                    : ConditionEvaluationResult.disabled("needs root and /dev/loop-control");
        }
    }
}

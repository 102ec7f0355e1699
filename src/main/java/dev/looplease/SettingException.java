package dev.looplease;

/** A setting with which the agent cannot work: it does not start. */
final class SettingException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    private final String advice;

    /**
     * @param what is wrong, with the setting's name
     * @param advice what to do about it
     */
    SettingException(String what, String advice, Throwable cause) {
        super(what, cause);
        this.advice = advice;
    }

    SettingException(String what, String advice) {
        super(what);
        this.advice = advice;
    }

    String advice() {
        return advice;
    }
}

package dev.looplease.api;

import tools.jackson.core.JsonParser;
import tools.jackson.databind.DeserializationContext;
import tools.jackson.databind.deser.jdk.StringDeserializer;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.module.SimpleModule;

/**
 * Reads text of whole characters. JSON can write one half of a surrogate pair alone, and Java can keep it; but an answer
 * that repeats it is none that a strict reader takes, and whoever lists everything would have to. (In names the parser
 * refuses it itself.)
 */
final class WholeText extends StringDeserializer {

    static SimpleModule module() {
        return new SimpleModule("whole text").addDeserializer(String.class, new WholeText());
    }

    /** Some text has half a character. */
    static final class HalfCharacterException extends MismatchedInputException {

        private static final long serialVersionUID = 1L;

        HalfCharacterException(JsonParser parser) {
            super(parser, "an unpaired surrogate", String.class);
        }
    }

    @Override
    public String deserialize(JsonParser parser, DeserializationContext context) {
        String text = super.deserialize(parser, context);
        if (text.codePoints().anyMatch(WholeText::isHalf)) {
            throw new HalfCharacterException(parser);
        }
        return text;
    }

    private static boolean isHalf(int codePoint) {
        return Character.getType(codePoint) == Character.SURROGATE;
    }
}

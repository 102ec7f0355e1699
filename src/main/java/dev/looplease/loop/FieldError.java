package dev.looplease.loop;

/**
 * One thing wrong with an input.
 *
 * @param field the field's name in the HTTP interface
 * @param message what is wrong and what would be right
 */
public record FieldError(String field, String message) {}

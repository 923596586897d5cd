package edgeaudio

/** What could not be done, where, and what to do about it, in one line for people to read. */
open class EdgeAudioError(message: String) : Exception(message.replace('\n', ' '))

/** A setting that no model could serve. */
class UsageError(message: String) : EdgeAudioError(message)

/** The progress callback returned false. */
class Cancelled(message: String) : EdgeAudioError(message)

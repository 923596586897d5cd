package edgeaudio.app

import android.content.Context
import android.os.Handler
import android.os.Looper
import edgeaudio.Cancelled
import edgeaudio.Clip
import edgeaudio.EdgeAudioError
import edgeaudio.Progress
import edgeaudio.Request
import java.util.concurrent.Executors

/** What the screen shows. It outlives the activity, which a rotation makes anew. */
sealed class State {
    object Idle : State()
    class Running(val progress: Progress?) : State()
    class Done(val clip: Clip, val seed: Long) : State()
    class Failed(val message: String) : State()
}

/** One generation at a time, on a thread of its own. State changes on the main thread. */
object Generation {
    private val main = Handler(Looper.getMainLooper())
    private val worker = Executors.newSingleThreadExecutor()
    private val listeners = LinkedHashSet<(State) -> Unit>()

    @Volatile
    private var wanted = false

    var state: State = State.Idle
        private set

    /** Called at once with the state as it is, then at every change. */
    fun listen(listener: (State) -> Unit) {
        listeners.add(listener)
        listener(state)
    }

    fun forget(listener: (State) -> Unit) {
        listeners.remove(listener)
    }

    /** Start, unless one is running. The first block of sound is played as soon as it is there. */
    fun start(context: Context, choice: Choice, request: Request) {
        if (state is State.Running) return
        val app = context.applicationContext
        val seeded = request.copy(seed = request.seed ?: kotlin.random.Random.nextLong(1L shl 31))
        wanted = true
        set(State.Running(null))
        worker.execute {
            val ended = run(app, choice, seeded)
            main.post { set(ended) }
        }
    }

    fun cancel() {
        wanted = false
    }

    private fun run(context: Context, choice: Choice, request: Request): State {
        val player = Player()
        return try {
            val pipeline = choice.open(context)
            val manifest = pipeline.bundle.manifest
            val clip = pipeline.generate(
                request,
                onProgress = { progress ->
                    main.post { if (state is State.Running) set(State.Running(progress)) }
                    wanted
                },
                onBlock = { block, _ -> player.add(block, manifest.sampleRate, manifest.channels) },
            )
            player.end()
            State.Done(clip, request.seed!!)
        } catch (_: Cancelled) {
            player.stop()
            State.Failed(context.getString(R.string.cancelled))
        } catch (error: EdgeAudioError) {
            player.stop()
            State.Failed(error.message!!)
        } catch (_: OutOfMemoryError) {
            player.stop()
            State.Failed(context.getString(R.string.out_of_memory))
        } catch (error: Exception) {
            player.stop()
            State.Failed(context.getString(R.string.unexpected, error.toString()))
        }
    }

    private fun set(next: State) {
        state = next
        listeners.toList().forEach { it(next) }
    }
}

package edgeaudio.app

import android.app.NotificationManager
import android.app.PendingIntent
import android.app.Service
import android.content.Context
import android.content.Intent
import android.os.IBinder
import edgeaudio.Progress

/** Keeps the process alive, with a notification, while a sound is made and the app is in the background. */
class GenerationService : Service() {
    private var shown = ""

    private val listener: (State) -> Unit = { state ->
        if (state is State.Running) show(state.progress) else stopSelf()
    }

    override fun onCreate() {
        super.onCreate()
        startForeground(ID, notification(null))
        Generation.listen(listener)
    }

    override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int = START_NOT_STICKY

    override fun onDestroy() {
        Generation.forget(listener)
        super.onDestroy()
    }

    override fun onBind(intent: Intent?): IBinder? = null

    private fun show(progress: Progress?) {
        val text = described(this, progress)
        if (text == shown) return
        shown = text
        (getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager).notify(ID, notification(progress))
    }

    private fun notification(progress: Progress?) = Newer.notification(this)
        .setSmallIcon(R.drawable.notification)
        .setContentTitle(getString(R.string.making))
        .setContentText(described(this, progress))
        .setProgress(progress?.steps ?: 0, progress?.step ?: 0, progress == null)
        .setOngoing(true)
        .setContentIntent(
            PendingIntent.getActivity(this, 0, Intent(this, MainActivity::class.java), PendingIntent.FLAG_IMMUTABLE),
        )
        .build()

    companion object {
        private const val ID = 1

        /** A progress in words. */
        fun described(context: Context, progress: Progress?): String = when (progress?.stage) {
            "sample" -> context.getString(R.string.stage_sample, progress.step, progress.steps)
            "decode" -> context.getString(R.string.stage_decode, progress.step, progress.steps)
            else -> context.getString(R.string.stage_condition)
        }
    }
}

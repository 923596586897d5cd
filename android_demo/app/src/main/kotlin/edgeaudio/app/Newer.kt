package edgeaudio.app

import android.app.Notification
import android.app.NotificationManager
import android.content.Context
import android.content.Intent
import android.os.Build

/**
 * All that needs a newer Android than the oldest this app compiles against (23): asked for by name, where it is there.
 *
 * Since 26 a notification belongs to a channel, and a service that will show one is started by another method; since 33 the user is
 * asked whether notifications may be shown.
 */
object Newer {
    private const val CHANNEL = "generation"
    const val POST_NOTIFICATIONS = "android.permission.POST_NOTIFICATIONS"

    val asksForNotifications: Boolean get() = Build.VERSION.SDK_INT >= 33

    fun notification(context: Context): Notification.Builder {
        if (Build.VERSION.SDK_INT < 26) {
            @Suppress("DEPRECATION")
            return Notification.Builder(context)
        }
        val channelClass = Class.forName("android.app.NotificationChannel")
        val channel = channelClass.getConstructor(String::class.java, CharSequence::class.java, Int::class.javaPrimitiveType)
            .newInstance(CHANNEL, context.getString(R.string.channel), 2) // IMPORTANCE_LOW: no sound of its own
        val manager = context.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager
        NotificationManager::class.java.getMethod("createNotificationChannel", channelClass).invoke(manager, channel)
        return Notification.Builder::class.java.getConstructor(Context::class.java, String::class.java).newInstance(context, CHANNEL)
    }

    fun startService(context: Context, intent: Intent) {
        if (Build.VERSION.SDK_INT < 26) {
            context.startService(intent)
        } else {
            Context::class.java.getMethod("startForegroundService", Intent::class.java).invoke(context, intent)
        }
    }
}

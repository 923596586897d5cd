package edgeaudio.app

import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import edgeaudio.Clip
import edgeaudio.Request
import java.io.File
import java.io.IOException

/** The one screen: what to hear, and what came of it. It keeps nothing that a rotation could lose: see [Generation]. */
class MainActivity : Activity() {
    private val prompt by lazy { find<EditText>(R.id.prompt) }
    private val model by lazy { find<Spinner>(R.id.model) }
    private val seconds by lazy { find<EditText>(R.id.seconds) }
    private val seed by lazy { find<EditText>(R.id.seed) }
    private val generate by lazy { find<Button>(R.id.generate) }
    private val progress by lazy { find<ProgressBar>(R.id.progress) }
    private val status by lazy { find<TextView>(R.id.status) }
    private val waveform by lazy { find<WaveformView>(R.id.waveform) }
    private val play by lazy { find<Button>(R.id.play) }
    private val afterwards by lazy { listOf(play, find<Button>(R.id.share), find<Button>(R.id.save)) }
    private var player: Player? = null
    private val listener: (State) -> Unit = ::show

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.main)
        val choices = Choice.all(this)
        model.adapter = ArrayAdapter(this, android.R.layout.simple_spinner_dropdown_item, choices)
        model.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, position: Int, id: Long) = showExamples(choices[position])
            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
        generate.setOnClickListener { if (Generation.state is State.Running) Generation.cancel() else start() }
        play.setOnClickListener { if (player == null) startPlaying() else player?.stop() }
        find<Button>(R.id.share).setOnClickListener { share() }
        find<Button>(R.id.save).setOnClickListener { chooseFile() }
        if (Newer.asksForNotifications && checkSelfPermission(Newer.POST_NOTIFICATIONS) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(arrayOf(Newer.POST_NOTIFICATIONS), 0)
        }
    }

    /** Buttons with what the model can be asked for. */
    private fun showExamples(choice: Choice) {
        val examples = find<LinearLayout>(R.id.examples)
        examples.removeAllViews()
        for (text in choice.examples().ifEmpty { resources.getStringArray(R.array.example_prompts).toList() }) {
            examples.addView(Button(this, null, android.R.attr.buttonStyleSmall).apply {
                this.text = text
                setAllCaps(false)
                minHeight = (48 * resources.displayMetrics.density).toInt()
                setOnClickListener { prompt.setText(text) }
            })
        }
    }

    override fun onStart() {
        super.onStart()
        Generation.listen(listener)
    }

    override fun onStop() {
        Generation.forget(listener)
        super.onStop()
    }

    override fun onDestroy() {
        player?.stop()
        super.onDestroy()
    }

    private fun start() {
        val request = try {
            Request(prompt.text.toString(), seconds = number(seconds)?.toDouble(), seed = number(seed)?.toLong())
        } catch (error: NumberFormatException) {
            status.text = getString(R.string.bad_number, error.message)
            return
        }
        player?.stop()
        Generation.start(this, model.selectedItem as Choice, request)
        Newer.startService(this, Intent(this, GenerationService::class.java))
    }

    /** null for an empty field; a comma is a decimal point too. */
    private fun number(field: EditText): String? = field.text.toString().trim().replace(',', '.').ifEmpty { null }

    private fun show(state: State) {
        val running = state is State.Running
        generate.setText(if (running) R.string.cancel else R.string.generate)
        progress.visibility = if (running) View.VISIBLE else View.INVISIBLE
        for (button in afterwards) button.isEnabled = state is State.Done
        when (state) {
            is State.Idle -> status.text = ""
            is State.Failed -> status.text = state.message
            is State.Running -> {
                progress.isIndeterminate = state.progress == null
                progress.max = state.progress?.steps ?: 1
                progress.progress = state.progress?.step ?: 0
                status.text = GenerationService.described(this, state.progress)
            }
            is State.Done -> {
                waveform.clip = state.clip
                val times = state.clip.timings
                val done = getString(
                    R.string.done, state.clip.seconds, times.values.sum(), times["condition"], times["sample"], times["decode"], state.seed,
                )
                status.text = (listOf(done) + state.clip.notes).joinToString("\n")
            }
        }
    }

    private fun clip(): Clip? = (Generation.state as? State.Done)?.clip

    private fun startPlaying() {
        val clip = clip() ?: return
        player = Player(onEnd = {
            runOnUiThread {
                player = null
                play.setText(R.string.play)
            }
        }).apply {
            val scaled = if (clip.gain == 1f) clip.samples else FloatArray(clip.samples.size) { clip.samples[it] * clip.gain }
            add(scaled, clip.sampleRate, clip.channels)
            end()
        }
        play.setText(R.string.stop)
    }

    private fun share() {
        val clip = clip() ?: return
        clip.save(File(cacheDir, ClipProvider.NAME).outputStream())
        val send = Intent(Intent.ACTION_SEND).setType("audio/wav").putExtra(Intent.EXTRA_STREAM, ClipProvider.URI)
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        startActivity(Intent.createChooser(send, getString(R.string.share)))
    }

    private fun chooseFile() {
        val create = Intent(Intent.ACTION_CREATE_DOCUMENT).setType("audio/wav").addCategory(Intent.CATEGORY_OPENABLE)
            .putExtra(Intent.EXTRA_TITLE, ClipProvider.NAME)
        startActivityForResult(create, SAVE)
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val target = data?.data
        if (requestCode != SAVE || resultCode != RESULT_OK || target == null) return
        status.text = try {
            clip()?.save(contentResolver.openOutputStream(target) ?: throw IOException("$target"))
            getString(R.string.saved)
        } catch (error: IOException) {
            getString(R.string.not_saved, error.message)
        }
    }

    @Suppress("UNCHECKED_CAST")
    private fun <T : View> find(id: Int): T = findViewById(id) as T

    private companion object {
        const val SAVE = 1
    }
}

import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "edgeaudio.app"
    compileSdk = 36
    defaultConfig {
        applicationId = "edgeaudio.app"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        ndk.abiFilters += listOf("arm64-v8a", "x86_64")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
    sourceSets["main"].kotlin.srcDir("../litert/src/main/kotlin")
    androidResources.noCompress += listOf("tflite", "model") // stored as they are, so that they can be mapped into memory
}

kotlin.compilerOptions.jvmTarget.set(JvmTarget.JVM_11)

// The pocket model is in the repository once; here it becomes an asset.
abstract class PocketAssets : DefaultTask() {
    @get:InputDirectory
    abstract val bundle: DirectoryProperty

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun copy() {
        val out = assets.get().dir("pocket").asFile.apply { deleteRecursively() }
        bundle.get().asFile.listFiles()!!.filter { it.name.endsWith(".tflite") || it.name in setOf("manifest.json", "tokenizer.model", "vocabulary.json") }
            .forEach { it.copyTo(out.resolve(it.name)) }
    }
}

val pocketAssets = tasks.register<PocketAssets>("pocketAssets") {
    bundle.set(layout.projectDirectory.dir("../../models/pocket"))
}

androidComponents.onVariants { variant ->
    variant.sources.assets?.addGeneratedSourceDirectory(pocketAssets, PocketAssets::assets)
}

dependencies {
    implementation(project(":core"))
    implementation(libs.litert)
    androidTestImplementation(libs.androidx.test.junit)
    androidTestImplementation(libs.androidx.test.runner)
}

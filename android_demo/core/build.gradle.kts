import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

// Plain Kotlin: no Android, no dependency. Java 11's class files, which Android's tools read.
kotlin.compilerOptions.jvmTarget.set(JvmTarget.JVM_11)
java {
    sourceCompatibility = JavaVersion.VERSION_11
    targetCompatibility = JavaVersion.VERSION_11
}

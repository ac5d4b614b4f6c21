//! facteur-queue.

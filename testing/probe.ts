import "@std/assert";

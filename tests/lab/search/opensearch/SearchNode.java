// SPDX-FileCopyrightText: infra_ops.log_archive contributors
// SPDX-License-Identifier: GPL-3.0-or-later

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/** One OpenSearch node in this process, on loopback: java -cp 'jars/*:.' SearchNode HOME PORT [SETTING=VALUE ...] */
public class SearchNode {
    static class WithPlugins extends Node {
        WithPlugins(Environment environment, List<Class<? extends Plugin>> plugins) {
            super(environment, plugins, false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Settings.Builder settings = Settings.builder()
            .put("path.home", Path.of(arguments[0]).toAbsolutePath())
            .put("cluster.name", "lab").put("node.name", "lab-1")
            .put("network.host", "127.0.0.1").put("http.port", arguments[1]).put("transport.port", "0")
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int i = 2; i < arguments.length; i++) {
            String[] setting = arguments[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        Node node = new WithPlugins(
            InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "lab-1"),
            List.of(
                org.opensearch.transport.Netty4Plugin.class,
                org.opensearch.analysis.common.CommonAnalysisPlugin.class,
                org.opensearch.painless.PainlessPlugin.class,
                org.opensearch.index.mapper.MapperExtrasPlugin.class,
                org.opensearch.index.reindex.ReindexPlugin.class));
        node.start();
        Thread.currentThread().join();
    }
}
